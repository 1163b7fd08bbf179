"""Key rotation: every sealed column of every model, found by its field, read and encrypted again with the first key.

Nothing is held while this runs. Each row is written by a statement of its own that compares before it swaps, so what somebody
saves meanwhile is never overwritten; what the first key reads already is left alone, so a run that was cut off just begins again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.db import connections, models, router
from django.urls import NoReverseMatch

from integrations.fields import Sealed, SecretField, SecretUnreadable
from integrations.secrets import check_binding

BATCH_ROWS = 200
MOST_TRIES = 5  # of one row that others keep changing
FINGERPRINT_DIGITS = 8  # enough to tell one key from another, and of no use for anything else
ENTRIES: dict[str, Callable[[Any], str]] = {}  # by column: returns the address where a row's secret is entered, of its key


class State(StrEnum):
    """How a stored secret is."""

    CURRENT = "current"  # the first key reads it
    FORMER = "former"  # another key of FERNET_KEYS does
    UNREADABLE = "unreadable"  # none does, or it is damaged, or another row's


@dataclass(frozen=True, slots=True)
class Column:
    """A sealed column."""

    model: type[models.Model]
    field: SecretField

    @property
    def label(self) -> str:
        """Return the column's name, such as integrations.Integration.sealed_secrets."""
        return f"{self.model._meta.label}.{self.field.name}"

    def rows(self) -> models.QuerySet[Any]:
        """Return the rows that have something in the column, with no more of each than is looked at here."""
        named = {field.attname for field in self.model._meta.concrete_fields} & {"merchant_id", "uid"}
        rows = self.model._base_manager.using(router.db_for_write(self.model))
        return rows.filter(**{f"{self.field.name}__isnull": False}).only("pk", self.field.name, *named).order_by("pk")


@dataclass(frozen=True, slots=True)
class Found:
    """One stored secret: where, how it is, and why it cannot be read. Its text is not in here."""

    column: Column
    pk: Any
    state: State
    why: str = ""
    key: int | None = None  # which of FERNET_KEYS reads it, counted from 0

    @property
    def name(self) -> str:
        """Return row and column as a person knows them."""
        row = self.column.model._base_manager.filter(pk=self.pk).first()
        return f"{self.column.label} of row {self.pk} ({row})"

    @property
    def entered_at(self) -> str:
        """Return the address of the page on which it is entered again, or an empty text."""
        address = ENTRIES.get(self.column.label)
        try:
            return address(self.pk) if address else ""
        except NoReverseMatch:  # this host has no such page
            return ""


@dataclass(slots=True)
class Standing:
    """How all secrets are. `is_whole`: all were looked at; otherwise the time was over first."""

    by_key: list[int] = field(default_factory=lambda: [0] * len(fingerprints()))
    unreadable: list[Found] = field(default_factory=list)
    is_whole: bool = True

    @property
    def former(self) -> int:
        """Return how many secrets are under another key than the first."""
        return sum(self.by_key[1:])


def entered_at(label: str, address: Callable[[Any], str]) -> None:
    """Say where a column's secrets are entered: `address` returns it for the key of a row. It may raise NoReverseMatch."""
    ENTRIES[label] = address


def fingerprints() -> list[str]:
    """Return what the keys are known by, in their order: a few digits that tell nothing of them."""
    found = columns()
    keys = found[0].field.fernet_keys if found else []
    return [hashlib.sha256(b"nectorbridge fingerprint" + bytes(key)).hexdigest()[:FINGERPRINT_DIGITS] for key in keys]


def standing(seconds: float) -> Standing:
    """Look at every secret, for so many seconds at most."""
    deadline, known = time.monotonic() + seconds, Standing()
    for found in (found for column in columns() for found in survey(column)):
        if found.state is State.UNREADABLE:
            known.unreadable.append(found)
        elif found.key is not None:
            known.by_key[found.key] += 1
        if time.monotonic() > deadline:
            known.is_whole = False
            break
    return known


def columns() -> list[Column]:
    """Return all sealed columns of all installed models."""
    found = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy]
    return [
        Column(model, field) for model in found for field in model._meta.local_concrete_fields if isinstance(field, SecretField)
    ]


def survey(column: Column) -> Iterator[Found]:
    """Read every secret of a column, in batches, and tell how each is."""
    for row in _in_batches(column):
        yield _found(column, row)


def renew(column: Column, after: Any = None) -> Iterator[tuple[Found, bool]]:
    """Encrypt with the first key what another one reads. Yields each row as it is then, and whether it was written.

    `after`: the key of the row behind which to begin.
    """
    for row in _in_batches(column, after):
        found, written = _found(column, row), False
        for _turn in range(MOST_TRIES):
            if found.state is not State.FORMER:
                break
            if written := _swap(column, row):
                found = Found(column, row.pk, State.CURRENT, key=0)
                break
            row = column.rows().filter(pk=row.pk).first()
            if row is None:  # deleted, or its secret was: there is nothing left to do
                found = Found(column, found.pk, State.CURRENT)
                break
            found = _found(column, row)
        yield found, written


def _in_batches(column: Column, after: Any = None) -> Iterator[Any]:
    """Return all rows by their key, a batch at a time, so that no query stays open."""
    rows = column.rows()
    batch = list((rows if after is None else rows.filter(pk__gt=after))[:BATCH_ROWS])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH_ROWS])


def _found(column: Column, row: Any) -> Found:
    """Read one secret."""
    sealed: Sealed = getattr(row, column.field.attname)
    try:
        check_binding(sealed, row)
    except SecretUnreadable as error:
        return Found(column, row.pk, State.UNREADABLE, str(error))
    place = sealed.read_by()
    return Found(column, row.pk, State.FORMER if place else State.CURRENT, key=place)


def _swap(column: Column, row: Any) -> bool:
    """Write the secret with the first key, unless it is no longer what was read. Returns whether it was written."""
    sealed: Sealed = getattr(row, column.field.attname)
    meta = column.model._meta
    connection: Any = connections[router.db_for_write(column.model)]
    table, name, key = (connection.ops.quote_name(each) for each in (meta.db_table, column.field.column, meta.pk.column))
    former, new = (connection.Database.Binary(each.ciphertext) for each in (sealed, sealed.renewed()))
    with connection.cursor() as cursor:  # in SQL: encrypted fields refuse to be looked up by
        cursor.execute(
            f"UPDATE {table} SET {name} = %s WHERE {key} = %s AND {name} = %s",  # noqa: S608 - names of our models
            [new, meta.pk.get_db_prep_value(row.pk, connection), former],
        )
        return bool(cursor.rowcount == 1)
