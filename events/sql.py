"""The few statements that Django cannot say: inserting what is new and knowing which, and lists as one parameter."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections, models
from django.db.models.fields import NOT_PROVIDED

from integrations.providers.values import dumps

# SQLite takes 32,766 parameters a statement since 3.32; PostgreSQL through psycopg has no such limit.
PARAMETERS_PER_STATEMENT = 30_000
FEW_ROWS = 16
Row = TypeVar("Row", bound=models.Model)
PLAIN = (models.CharField, models.IntegerField, models.BooleanField, models.ForeignKey)


def in_parts(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield values in their order, each once, so many at a time: no statement has more parameters than a database takes."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def hot_cursor(db: Any = None) -> Any:
    """Return a cursor for a statement that runs at every wallet change.

    On PostgreSQL it binds parameters at the server, so that the connection prepares the statement (`prepare_threshold` in the
    database's OPTIONS) and it is parsed and planned once, not each time. On SQLite its marks are turned into SQLite's own once.
    Elsewhere, or without the option: Django's own.
    """
    db = db or connections[DEFAULT_DB_ALIAS]  # looked up once: the `connection` proxy costs at every access
    if db.vendor == "postgresql":
        db.close_if_health_check_failed()
        db.ensure_connection()
        if db.connection.prepare_threshold is not None:
            from django.db.backends.postgresql import base  # where psycopg is installed

            server_binding: Any = base.ServerBindingCursor
            return db._prepare_cursor(server_binding(db.connection))  # wrapped as `cursor()` wraps its own
    elif db.vendor == "sqlite":
        db.ensure_connection()
        return db._prepare_cursor(db.connection.cursor(factory=_sqlite_cursor()))
    return db.cursor()


@cache
def _sqlite_cursor() -> Any:
    """Return Django's own cursor for SQLite, but for a text that it looks through for marks (`%s`) only once."""
    from django.db.backends.sqlite3 import base  # where SQLite is installed

    @lru_cache(maxsize=256)
    def marked(query: str) -> str:
        return str(base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%"))

    class Marked(base.SQLiteCursorWrapper):
        def convert_query(self, query: str, *, param_names: Any = None) -> str:
            return marked(query) if param_names is None else super().convert_query(query, param_names=param_names)

    return Marked


def cursor_for(rows: int) -> Any:
    """Return a cursor for a statement with so many rows: of few it is one that comes again, and worth preparing."""
    here = connections[DEFAULT_DB_ALIAS]
    return hot_cursor(here) if rows <= FEW_ROWS else here.cursor()


def rows_of(statement: str, values: Sequence[Any], rows: int = 1) -> list[Any]:
    """Return what a statement returns with which a request at a public address begins. Raises DatabaseError.

    It is the health check of the connection as well: one that died since the last request is replaced, without a question each
    time whether it lives. `rows`: how many the statement inserts, if it does (see `cursor_for`).
    """
    here: Any = connections[DEFAULT_DB_ALIAS]
    here.health_check_done = True
    try:
        return _all_rows(statement, values, rows)
    except (OperationalError, InterfaceError):
        if here.in_atomic_block:
            raise
        here.close()
        return _all_rows(statement, values, rows)


def _all_rows(statement: str, values: Sequence[Any], rows: int) -> list[Any]:
    """Return a statement's rows."""
    with cursor_for(rows) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def made(model: type[Row], **values: Any) -> Row:
    """Return an instance from its columns' values, as loading makes one: a third of what keyword arguments cost.

    Columns that are not named have their constant defaults. Raises KeyError for one whose default is made anew each time.
    """
    names, constants = _columns(model)
    return model(*map((constants | values).__getitem__, names))


@cache
def _columns(model: type[models.Model]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the attributes of a model's columns in order, and the defaults that are constant."""
    fields = model._meta.concrete_fields
    constants = {
        field.attname: field.get_default() for field in fields if field.default is NOT_PROVIDED or not callable(field.default)
    }
    return tuple(field.attname for field in fields), constants


def insert_new(rows: Sequence[models.Model], conflict: str) -> set[Any]:
    """Insert rows of one model, except those whose `conflict` column is taken. Return the keys of those inserted."""
    if not rows:
        return set()
    db = connections[DEFAULT_DB_ALIAS]
    plan = _insert_plan(type(rows[0]), conflict)
    pk = rows[0]._meta.pk
    inserted: set[Any] = set()
    step = max(1, PARAMETERS_PER_STATEMENT // len(plan.columns))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        if len(rows) == 1:
            with hot_cursor(db) as cursor:
                cursor.execute(plan.one, _row(rows[0], plan, db))
                inserted.update(row.pk for row in rows if cursor.rowcount)
            break
        inserted.update(pk.to_python(key) for key in _inserted(chunk, plan, db))
    for row in rows:
        row._state.adding = row.pk not in inserted
        row._state.db = db.alias
    return inserted


def insert(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model whose keys the database makes, and give them their keys: as `bulk_create`, with less ado.

    Values are of the right type already; nothing is filled in, and no signal is sent.
    """
    if not rows:
        return
    db = connections[DEFAULT_DB_ALIAS]
    plan = _insert_plan(type(rows[0]), "")
    step = max(1, PARAMETERS_PER_STATEMENT // len(plan.columns))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        for row, key in zip(chunk, _inserted(chunk, plan, db), strict=True):
            row.pk, row._state.adding, row._state.db = key, False, db.alias


def _inserted(rows: Sequence[models.Model], plan: _InsertPlan, db: Any) -> list[Any]:
    """Insert these rows in one statement; return the keys of those inserted, in their order."""
    with db.cursor() as cursor:
        if db.vendor == "postgresql":  # a parameter per column, so that the driver looks for no thousands of marks
            cursor.execute(f"{plan.unnest}{plan.tail}", [_column(rows, *column, db) for column in plan.columns])
        else:
            values = [value for row in rows for value in _row(row, plan, db)]
            cursor.execute(f"{plan.head}VALUES {', '.join([plan.marks] * len(rows))}{plan.tail}", values)
        return [key for (key,) in cursor.fetchall()]


def _row(row: models.Model, plan: _InsertPlan, db: Any) -> list[Any]:
    """Return one row's values as the driver takes them."""
    return [getattr(row, name) if prepare is None else prepare(getattr(row, name), db) for name, prepare in plan.columns]


def write_columns(model: type[models.Model], names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
    """Write columns of many rows with one statement, past the model's querysets. Each of `values`: the key, then by `names`.

    Keys are whole numbers; values are of the right type already: texts, whole numbers, times.
    """
    if not values:
        return
    db = connections[DEFAULT_DB_ALIAS]
    quote = db.ops.quote_name
    fields: list[Any] = [model._meta.pk, *(model._meta.get_field(name) for name in names)]
    prepares = [_preparation(field) for field in fields]
    rows = [[one if do is None else do(one, db) for one, do in zip(row, prepares, strict=True)] for row in values]
    columns, table = [quote(str(field.column)) for field in fields], quote(model._meta.db_table)
    given: list[Any]
    if db.vendor == "postgresql":
        types = [field.rel_db_type(db) if field.primary_key else _array_of(field) for field in fields]
        source = f"unnest({', '.join(f'%s::{kind}[]' for kind in types)})"
        given = [list(column) for column in zip(*rows, strict=True)]
    else:
        cells = ", ".join(f"json_extract(value, '$[{place}]') AS {column}" for place, column in enumerate(columns))
        source, given = f"(SELECT {cells} FROM json_each(%s))", [json.dumps(rows)]  # noqa: S608 - names of our own columns
    pairs = ", ".join(f"{column} = v.{column}" for column in columns[1:])
    names_of_v = f"({', '.join(columns)})" if db.vendor == "postgresql" else ""
    with db.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {pairs} FROM {source} AS v{names_of_v} WHERE {table}.id = v.id", given)  # noqa: S608


def _column(rows: Sequence[models.Model], name: str, prepare: Callable[..., Any] | None, db: Any) -> list[Any]:
    """Return one column's values as the driver takes them."""
    values = [getattr(row, name) for row in rows]
    return values if prepare is None else [prepare(value, db) for value in values]


@dataclass(frozen=True, slots=True)
class _InsertPlan:
    """An insert's constant parts. A column without a function needs no conversion: its value is what the driver takes."""

    one: str  # the whole statement for one row: the number of rows inserted tells whether it was new
    head: str
    unnest: str  # the whole statement for any number of rows with a parameter per column, on PostgreSQL
    marks: str
    tail: str
    columns: tuple[tuple[str, Callable[..., Any] | None], ...]


@cache
def _insert_plan(model: type[models.Model], conflict: str) -> _InsertPlan:
    """Return the parts of the statement that inserts rows of this model, made once: it runs at every wallet change.

    Without `conflict` the database makes the keys.
    """
    quote = connection.ops.quote_name
    fields = [field for field in model._meta.concrete_fields if conflict or not field.primary_key]
    head = f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(quote(str(field.column)) for field in fields)}) "
    marks = f"({', '.join(['%s'] * len(fields))})"
    ignoring = f" ON CONFLICT ({quote(conflict)}) DO NOTHING" if conflict else ""
    tail = f"{ignoring} RETURNING {quote(str(model._meta.pk.column))}"
    columns = tuple((field.attname, _preparation(field)) for field in fields)
    unnest = f"{head}SELECT * FROM unnest({', '.join(f'%s::{_array_of(field)}[]' for field in fields)})"  # noqa: S608
    return _InsertPlan(f"{head}VALUES {marks}{ignoring}", head, unnest, marks, tail, columns)


def _array_of(field: models.Field) -> str:
    """Return the type of a column's values. A text is no `varchar(n)` here: a cast to it would cut it off without a word."""
    name = str(field.db_type(connection))
    return "text" if name.startswith("varchar") else name


def _preparation(field: models.Field) -> Callable[..., Any] | None:
    """Return what turns a value of this field into what the driver takes. Values here are of the right type already."""
    if isinstance(field, models.ForeignKey) and isinstance(field.target_field, models.UUIDField):
        return lambda value, db: value if value is None else field.get_db_prep_save(value, db)
    if isinstance(field, PLAIN):
        return None
    if isinstance(field, models.DateTimeField):
        return moment
    if isinstance(field, models.JSONField):
        return (lambda value, db: dumps(value)) if field.encoder is None else field.get_db_prep_save
    return field.get_db_prep_save


def array(values: Iterable[object]) -> str:
    """Return ids or whole numbers as PostgreSQL writes an array: cast to its type, it costs no dumping one by one."""
    return f"{{{','.join(map(str, values))}}}"


def id_list(ids: Iterable[object]) -> tuple[str, Any]:
    """Return a condition `IN`/`= ANY` over delivery ids and its single parameter, whatever their number."""
    if connection.vendor == "postgresql":
        return "= ANY(%s::uuid[])", array(ids)
    return _in_json([str(key).replace("-", "") for key in ids])


def key_list(keys: Iterable[int]) -> tuple[str, Any]:
    """Return the same over whole numbers."""
    if connection.vendor == "postgresql":
        return "= ANY(%s::bigint[])", array(keys)
    return _in_json(list(keys))


def _in_json(values: Sequence[object]) -> tuple[str, str]:
    """Return the condition as SQLite says it."""
    return "IN (SELECT value FROM json_each(%s))", json.dumps(values)


def moment(value: datetime | None, db: Any = None) -> Any:
    """Return a time as the database takes it in a statement of our own.

    SQLite keeps it as text, in UTC: Django's way there costs four times as much.
    """
    db = db or connections[DEFAULT_DB_ALIAS]
    if db.vendor == "sqlite" and value is not None and value.tzinfo is UTC and db.timezone is UTC:
        return str(value)[: -len("+00:00")]
    return db.ops.adapt_datetimefield_value(value)


def db_id(key: uuid.UUID) -> str:
    """Return a delivery's id as the database takes it in a statement of our own."""
    return str(key) if connection.vendor == "postgresql" else key.hex
