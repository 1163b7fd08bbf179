"""Indexes that one database has and another does without, or has in another way: what each costs a write differs."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from django.db.models import Index, Q

NOTHING = "SELECT 1"  # a schema editor must be given some statement
SHORT_LIST = 2  # values that SQLite compares one by one; for a longer list it fills a table, and looks there


def is_long(values: Sized) -> bool:
    """Tell whether SQLite is better asked by comparisons than by a list of these values.

    It asks a partial index's condition of a row before and after each change of a column in it, and a look into the table
    of a long list costs ten comparisons. Who asks by that index must word it in the same way.
    """
    return len(values) > SHORT_LIST


def spelled_out(condition: Q) -> Q:
    """Return a condition with its long lists as comparisons one by one."""
    worded = Q(_connector=condition.connector, _negated=condition.negated)
    for child in condition.children:
        worded.children.append(spelled_out(child) if isinstance(child, Q) else _worded(child))
    return worded


def _worded(child: Any) -> Any:
    """Return one part of a condition, as comparisons if it is a long list."""
    name, values = child
    if not name.endswith("__in") or not is_long(values):
        return child
    column = name.removesuffix("__in")
    return Q(*((column, value) for value in values), _connector=Q.OR)


class IndexOf(Index):
    """An index of one database, if `only` names one by its vendor; elsewhere nothing is made.

    `method` is PostgreSQL's access method, `tuned` are its storage parameters. Other databases do not know either. A condition
    with a list is worded as the database answers it quickest.
    """

    def __init__(
        self, *expressions: Any, only: str = "", method: str = "", tuned: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        """Take what any index takes, and these."""
        super().__init__(*expressions, **options)
        self.only = only
        self.method = method
        self.tuned = dict(tuned or {})

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        """Return how a migration writes it."""
        path, expressions, options = super().deconstruct()
        own = {"only": self.only, "method": self.method, "tuned": self.tuned}
        return path, expressions, options | {name: value for name, value in own.items() if value}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **options: Any) -> Any:
        """Return the statement that makes it."""
        if self._is_elsewhere(schema_editor):
            return NOTHING
        if schema_editor.connection.vendor == "sqlite" and self.condition:
            worded = self.clone()
            worded.condition = spelled_out(self.condition)
            return Index.create_sql(worded, model, schema_editor, using, **options)
        if schema_editor.connection.vendor != "postgresql":
            return super().create_sql(model, schema_editor, using, **options)
        statement: Any = super().create_sql(model, schema_editor, f" USING {self.method}" if self.method else using, **options)
        if self.tuned:
            pairs = ", ".join(f"{name} = {value}" for name, value in self.tuned.items())
            statement.parts["extra"] = f"{statement.parts['extra']} WITH ({pairs})"
        return statement

    def remove_sql(self, model: Any, schema_editor: Any, **options: Any) -> Any:
        """Return the statement that removes it."""
        return NOTHING if self._is_elsewhere(schema_editor) else super().remove_sql(model, schema_editor, **options)

    def _is_elsewhere(self, schema_editor: Any) -> bool:
        """Tell whether another database has it."""
        return self.only not in ("", schema_editor.connection.vendor)
