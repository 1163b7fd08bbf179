"""Catalogs of messages: `.po` as translators write them, `.mo` as Python reads them. Needs none of gettext's tools.

The formats: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html and MO-Files.html there.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nectorbridge.languages.marked import Word

MAGIC, REVISION, HEAD_BYTES, PAIR_BYTES = 0x950412DE, 0, 28, 8
PERCENT = re.compile(r"%(?:\(\w+\))?[sd]|%%")
BRACES = re.compile(r"\{\w*\}")
TAGS = re.compile(r"</?\w[^>]*>|&#?\w+;")
STATEMENT = re.compile(r'^(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)\s*(".*")$')
FORMS = re.compile(r"nplurals\s*=\s*(\d+)")
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(slots=True)
class Entry:
    """One message and what it is in the language: one form, or as many as the language has plurals."""

    word: Word
    forms: list[str]
    files: list[str] = field(default_factory=list)
    is_fuzzy: bool = False

    @property
    def is_translated(self) -> bool:
        """Tell whether every form is there."""
        return bool(self.forms) and all(self.forms) and not self.is_fuzzy


@dataclass(slots=True)
class Catalog:
    """A `.po` file: its head, `name: value` by line, and its entries in order."""

    head: dict[str, str]
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def plural_forms(self) -> int:
        """How many forms a message with a plural has."""
        match = FORMS.search(self.head.get("Plural-Forms", ""))
        return int(match[1]) if match else 2


# --- Reading -------------------------------------------------------------------------------------------------------------
def read(path: Path) -> Catalog:
    """Read a `.po` file; one that is not there is an empty catalog. Raises ValueError for a line that means nothing."""
    catalog = Catalog({})
    if not path.exists():
        return catalog
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        files, is_fuzzy, texts = _block(block)
        if "msgid" not in texts:
            continue
        forms = [text for key, text in texts.items() if key.startswith("msgstr")]
        if texts["msgid"]:
            word = Word(texts["msgid"], texts.get("msgid_plural", ""), texts.get("msgctxt", ""))
            catalog.entries[word.key] = Entry(word, forms, files, is_fuzzy)
        else:
            lines = (line.partition(": ") for line in forms[0].splitlines())
            catalog.head = {name: value for name, _colon, value in lines}
    return catalog


def _block(block: str) -> tuple[list[str], bool, dict[str, str]]:
    """Return what one block says: the files, whether it is fuzzy, and its texts by keyword."""
    files: list[str] = []
    texts: dict[str, str] = {}
    current, is_fuzzy = "", False
    for line in block.splitlines():
        if match := STATEMENT.match(line):
            current = match[1]
            texts[current] = _unquoted(match[2])
        elif line.startswith('"') and current:
            texts[current] += _unquoted(line)
        elif line.startswith("#:"):
            files += line[2:].split()
        elif line.startswith("#,"):
            is_fuzzy = is_fuzzy or "fuzzy" in line
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"not a line of a catalog: {line}")
    return files, is_fuzzy, texts


def _unquoted(text: str) -> str:
    """Return what a quoted text says."""
    return str(ast.literal_eval(text))


# --- Writing -------------------------------------------------------------------------------------------------------------
def text_of(catalog: Catalog) -> str:
    """Return a catalog as its `.po` file has it: one line a text, files without line numbers, so that few lines ever change."""
    head = ['msgid ""', 'msgstr ""', *(_quoted(f"{name}: {value}\n") for name, value in catalog.head.items())]
    return "\n\n".join(["\n".join(head), *("\n".join(_lines(entry)) for entry in catalog.entries.values())]) + "\n"


def _lines(entry: Entry) -> Iterator[str]:
    """Yield the lines of one entry."""
    yield from (f"#: {name}" for name in entry.files)
    flags = ["fuzzy"] if entry.is_fuzzy else []
    flags += ["python-format"] if PERCENT.search(entry.word.text) else []
    if flags:
        yield "#, " + ", ".join(flags)
    if entry.word.context:
        yield f"msgctxt {_quoted(entry.word.context)}"
    yield f"msgid {_quoted(entry.word.text)}"
    if entry.word.plural:
        yield f"msgid_plural {_quoted(entry.word.plural)}"
        yield from (f"msgstr[{number}] {_quoted(form)}" for number, form in enumerate(entry.forms))
    else:
        yield f"msgstr {_quoted(entry.forms[0])}"


def _quoted(text: str) -> str:
    """Return a text in quotes."""
    return '"' + "".join(ESCAPES.get(character, character) for character in text) + '"'


def compiled(catalog: Catalog) -> bytes:
    """Return a catalog as its `.mo` file has it: sorted by message, without what is not translated."""
    head = "".join(f"{name}: {value}\n" for name, value in catalog.head.items())
    pairs = {b"": head.encode()}
    for entry in catalog.entries.values():
        if entry.is_translated:
            key = f"{entry.word.key}\0{entry.word.plural}" if entry.word.plural else entry.word.key
            pairs[key.encode()] = "\0".join(entry.forms).encode()
    keys = sorted(pairs)
    tables = HEAD_BYTES + 2 * PAIR_BYTES * len(keys)
    first, at = _table(keys, tables)
    second, _end = _table([pairs[key] for key in keys], at)
    start = struct.pack("<7I", MAGIC, REVISION, len(keys), HEAD_BYTES, HEAD_BYTES + PAIR_BYTES * len(keys), 0, tables)
    return start + first + second + b"".join(key + b"\0" for key in keys) + b"".join(pairs[key] + b"\0" for key in keys)


def _table(texts: list[bytes], at: int) -> tuple[bytes, int]:
    """Return length and place of each text, the first at a place, and where the last one ends."""
    table = b""
    for text in texts:
        table += struct.pack("<2I", len(text), at)
        at += len(text) + 1
    return table, at


# --- What must be the same in both languages -----------------------------------------------------------------------------
def faults(entry: Entry) -> list[str]:
    """Return what a translation lost or added: placeholders, tags and entities, white space at either end."""
    found = []
    for number, form in enumerate(entry.forms):
        # The form for one may say “one” in words; every other form holds what the plural holds.
        wanted = [entry.word.plural or entry.word.text] + ([entry.word.text] if number == 0 else [])
        for name, of in (("placeholders", _placeholders), ("tags", _tags), ("white space", _ends)):
            if of(form) not in [of(text) for text in wanted]:
                found.append(f"{name}: {entry.word.text!r} and {form!r}")
    return found


def _placeholders(text: str) -> list[str]:
    """Return what is filled in."""
    return sorted(PERCENT.findall(text) + BRACES.findall(text))


def _tags(text: str) -> list[str]:
    """Return the tags and entities."""
    return sorted(TAGS.findall(text))


def _ends(text: str) -> tuple[bool, bool]:
    """Tell whether a text begins and ends with white space."""
    return text[:1].isspace(), text[-1:].isspace()
