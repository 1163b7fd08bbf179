"""A CSV file as records: character set, separator, header and rows. Streamed; what is wrong with one row spoils no other."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from django.utils.translation import gettext as _

from integrations.providers.values import clean_text

# Our fields, in the order in which a record's cells are kept, with the names that a header may have for them.
NAMES: Mapping[str, Sequence[str]] = {
    "email": ("email", "e_mail", "email_address", "customer_email"),
    "mobile": ("mobile", "phone", "mobile_number", "phone_number", "customer_mobile"),
    "points_balance": ("points_balance", "points", "coins", "balance", "amount"),
    "points_operation": ("points_operation", "operation"),
    "customer_id": ("customer_id",),
    "name": ("name", "full_name", "customer_name"),
    "expiry": (
        "expiry",
        "points_expiry",
        "expiry_days",
        "points_expiry_days",
        "expiry_date",
        "expires_at",
        "expires_on",
        "expire",
    ),
    "reason": ("reason", "points_reason", "title", "description", "note"),
    "country": ("country", "country_code"),
}
FIELDS = tuple(NAMES)
PEOPLE = ("email", "mobile", "customer_id")
DELIMITERS = (",", ";", "\t")
LONGEST_CELL = 1000  # characters that are kept; no field may have as many
LONGEST_NAME = 60
MOST_COLUMNS = 500
MOST_LINES = 50  # of one row: behind that a quotation mark was opened that nobody meant
MOST_UNCLOSED = 1000  # rows; each makes some lines be read again
BLOCK = 1 << 16
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

OK, UNCLOSED, TOO_MANY_CELLS = 0, 1, 2  # what is to be said of a record
Record = list[int | str]  # row number, one of these, then a cell for each of FIELDS


class Unreadable(ValueError):
    """A file of which nothing can be imported. The message says why, for whoever uploaded it."""


class _Unclosed(Exception):
    """A quotation mark was opened and is not closed where it should be."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first row says: the separator, where each of our fields stands and how it is called there, what is ignored."""

    delimiter: str
    places: Mapping[str, int]
    names: Mapping[str, str]
    ignored: Sequence[str]
    width: int  # columns


class _Lines:
    """Lines without NUL, with those of the current row remembered, so that they can be read again one by one."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self._again: deque[str] = deque()
        self._taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        """Return the next line. Raises _Unclosed where a row has too many, or the file ends inside of one."""
        line = self._again.popleft() if self._again else next(self._source, None)
        if line is None:
            if self._taken:
                raise _Unclosed
            raise StopIteration
        if len(self._taken) >= MOST_LINES:
            self._again.appendleft(line)
            raise _Unclosed
        self._taken.append(line)
        return line.replace("\x00", "") if "\x00" in line else line

    def begin(self) -> None:
        """Say that a new row begins."""
        self._taken.clear()

    def give_back(self) -> None:
        """Read the current row's lines again, but for the first."""
        self._again.extendleft(reversed(self._taken[1:]))


class Table:
    """A file's header, and its rows once."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the header. Raises Unreadable."""
        text = io.TextIOWrapper(file, charset(file), errors="replace", newline="")
        self._text = text  # closing it would close the file
        self._before = 0  # lines above the header
        first = ""
        for line in text:
            if line.strip("\ufeff\r\n\t ,;\x00"):
                first = line
                break
            self._before += 1
        try:
            self.header = header(first.lstrip("\ufeff").replace("\x00", ""))
        except Unreadable:
            self.release()
            raise
        self._lines = _Lines(iter(text))

    def __iter__(self) -> Iterator[Record]:
        """Yield each row that is not empty. A row whose quotation marks do not match costs its first line, nothing else.

        Raises Unreadable where there is no end to such rows.
        """
        rows = csv.reader(self._lines, delimiter=self.header.delimiter)
        places = [self.header.places.get(name) for name in FIELDS]
        width, number, unclosed = self.header.width, self._before + 1, 0
        empty = [""] * len(FIELDS)
        while True:
            self._lines.begin()
            number += 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except (_Unclosed, csv.Error):
                self._lines.give_back()
                unclosed += 1
                if unclosed > MOST_UNCLOSED:
                    words = _("In more than %(most)s rows a quotation mark is opened and not closed. Is this a CSV file?")
                    raise Unreadable(words % {"most": MOST_UNCLOSED}) from None
                yield [number, UNCLOSED, *empty]
                continue
            if not any(map(str.strip, cells)):
                continue
            count = len(cells)
            kept = ["" if place is None or place >= count else cells[place].strip()[:LONGEST_CELL] for place in places]
            verdict = TOO_MANY_CELLS if count > width and any(map(str.strip, cells[width:])) else OK
            yield [number, verdict, *kept]

    def release(self) -> None:
        """Let go of the file without closing it."""
        self._text.detach()


def charset(file: IO[bytes]) -> str:
    """Return the character set of a file, and go back to its beginning: UTF-8, UTF-16 by its mark, otherwise Windows-1252."""
    file.seek(0)
    start = file.read(2)
    file.seek(0)
    if start in UTF16:
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        while block := file.read(BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    finally:
        file.seek(0)
    return "utf-8-sig"


def header(line: str) -> Header:
    """Return what a header says. Raises Unreadable where a column is missing without which nothing can be imported."""
    found = max((_header(line, delimiter) for delimiter in DELIMITERS), key=lambda one: len(one.places))
    if found.width > MOST_COLUMNS:
        raise Unreadable(_("The first row has %(count)s columns. Is this a CSV file?") % {"count": found.width})
    if not found.places:
        raise Unreadable(
            _("The first row must name the columns: email, mobile, points_balance, points_operation. None of these was found.")
        )
    if "points_balance" not in found.places:
        raise Unreadable(_("There is no column points_balance: the number of coins. Add it to the first row."))
    if not any(name in found.places for name in PEOPLE):
        raise Unreadable(_("There is no column that says whose coins they are. Add email, mobile or customer_id to it."))
    return found


def _header(line: str, delimiter: str) -> Header:
    """Return a header as it is with this separator."""
    try:
        cells = [clean_text(cell).strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        cells = []
    fields = {alias: name for name, aliases in NAMES.items() for alias in aliases}
    places: dict[str, int] = {}
    names: dict[str, str] = {}
    ignored: list[str] = []
    for place, cell in enumerate(cells):
        field = fields.get(re.sub(r"[\s_-]+", "_", cell.lower()))
        if field is not None and field not in places:
            places[field], names[field] = place, cell[:LONGEST_NAME]
        elif cell:
            ignored.append(cell[:LONGEST_NAME])
    return Header(delimiter, places, names, ignored, len(cells))
