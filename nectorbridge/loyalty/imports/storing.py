"""An upload: the file's rows into the database, in parts that a worker takes one by one, and what a person sees beforehand."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import IO, Any

import orjson
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.models import Merchant
from integrations.providers.values import clean_text
from nectorbridge.loyalty.imports.reading import BLOCK, Record, Table, Unreadable
from nectorbridge.loyalty.imports.survey import Survey
from nectorbridge.loyalty.models import ImportPart, ImportRun, ImportState
from nectorbridge.loyalty.models.imports import LONGEST_FILE_NAME

ROWS_PER_PART = 1000
MOST_ROWS = 500_000
MEGABYTE = 1_000_000
LOOK_SECONDS = 5.0  # then the rest of the rows is stored and counted, not looked at: people wait for the page
QUICK = 1  # of zlib's levels


def take(merchant: Merchant, user: Any, file: IO[bytes], name: str, size: int) -> ImportRun:
    """Store an uploaded file of `size` bytes as an import that is not started. Raises Unreadable; then nothing is left of it."""
    if size > settings.IMPORT_MAX_MEGABYTES * MEGABYTE:
        words = _("The file has %(size)s MB; at most %(most)g MB can be imported at once. Cut it into several files.")
        raise Unreadable(words % {"size": f"{size / MEGABYTE:.1f}", "most": settings.IMPORT_MAX_MEGABYTES})
    if not size:
        raise Unreadable(_("The file is empty."))
    mark = fingerprint(file)
    table = Table(file)
    run = ImportRun.objects.create(
        merchant=merchant,
        asked_by=user,
        file_name=clean_text(PurePath(name).name)[:LONGEST_FILE_NAME] or "import.csv",
        fingerprint=mark,
        columns=dict(table.header.names),
        ignored=list(table.header.ignored),
    )
    try:
        _fill(run, table)
    except BaseException:  # whatever it was, even a stop of the web server: half a file is none
        run.delete()
        raise
    finally:
        table.release()
    return run


def fingerprint(file: IO[bytes]) -> str:
    """Return the sha256 of a file, in hex."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _fill(run: ImportRun, table: Table) -> None:
    """Store the rows, and what was found out about them. Raises Unreadable where there are none, or too many."""
    survey = Survey(run.merchant, timezone.now())
    deadline = time.monotonic() + LOOK_SECONDS
    number = 0
    for number, records in enumerate(_parts(table), 1):
        ImportPart.objects.create(run=run, number=number - 1, content=packed(records))
        if time.monotonic() < deadline:
            survey.look(records)
        survey.rows += len(records)
        if survey.rows > MOST_ROWS:
            raise Unreadable(_("The file has more than %(most)s rows. Cut it into several files.") % {"most": f"{MOST_ROWS:,}"})
    if not number:
        raise Unreadable(_("There is no row below the first one."))
    run.rows, run.preview, run.state = survey.rows, survey.found(), ImportState.DRAFT
    run.save(update_fields=["rows", "preview", "state"])


def _parts(table: Table) -> Iterator[list[Record]]:
    """Yield the rows in lists of some."""
    records: list[Record] = []
    for record in table:
        records.append(record)
        if len(records) == ROWS_PER_PART:
            yield records
            records = []
    if records:
        yield records


def packed(records: list[Record]) -> bytes:
    """Return records as they are stored."""
    return zlib.compress(orjson.dumps(records), QUICK)


def unpacked(content: bytes | memoryview) -> list[Record]:
    """Return records that were stored."""
    found: list[Record] = orjson.loads(zlib.decompress(content))
    return found
