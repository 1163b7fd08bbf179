"""The few statements that Django cannot say: inserting what is new and knowing which, and lists as one parameter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models

# SQLite takes 32,766 parameters a statement since 3.32; PostgreSQL through psycopg has no such limit.
PARAMETERS_PER_STATEMENT = 30_000


def insert_new(rows: Sequence[models.Model], conflict: str) -> set[Any]:
    """Insert rows of one model, except those whose `conflict` column is taken. Return the keys of those inserted."""
    if not rows:
        return set()
    model = type(rows[0])
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    pk = model._meta.pk
    inserted: set[Any] = set()
    step = max(1, PARAMETERS_PER_STATEMENT // len(fields))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        values = [field.get_db_prep_save(getattr(row, field.attname), connection) for row in chunk for field in fields]
        row_marks = f"({', '.join(['%s'] * len(fields))})"
        sql = (
            f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES {', '.join([row_marks] * len(chunk))} "  # noqa: S608
            f"ON CONFLICT ({quote(conflict)}) DO NOTHING RETURNING {quote(pk.column)}"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            inserted.update(pk.to_python(key) for (key,) in cursor.fetchall())
    for row in rows:
        row._state.adding = row.pk not in inserted
        row._state.db = connection.alias
    return inserted


def id_list(ids: Iterable[str]) -> tuple[str, Any]:
    """Return a condition `IN`/`= ANY` over delivery ids and its single parameter, whatever their number."""
    if connection.vendor == "postgresql":
        return "= ANY(%s::uuid[])", [str(key) for key in ids]
    return "IN (SELECT value FROM json_each(%s))", json.dumps([str(key).replace("-", "") for key in ids])


def moment(value: Any) -> Any:
    """Return a time as the database takes it in a statement of our own."""
    return connection.ops.adapt_datetimefield_value(value)


def lock_integration(integration_id: int) -> None:
    """Take claims and stamps of one integration in turn, until the transaction ends. SQLite's write lock does it already.

    The lock is a statement of its own: the next one then sees what the former holder committed.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, integration_id])


LOCK_SPACE = 0x6E62  # "nb": the first key of this project's advisory locks
