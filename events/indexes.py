"""Indexes that one database has and another does without, or has in another way: what each costs a write differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Index, Q

NOTHING = "SELECT 1"  # a schema editor must be given some statement
SHORT_LIST = 2  # values that SQLite compares one by one; for a longer list it fills a table, and looks there


def compares_one_by_one(vendor: str, values: int) -> bool:
    """Tell whether a condition on so many values is better worded as comparisons than as a list on this database.

    SQLite asks a partial index's condition of a row before and after each change of a column in it, and a look into the table
    of a long list costs ten comparisons. Who asks by that index must word it in the same way.
    """
    return vendor == "sqlite" and values > SHORT_LIST


def spelled_out(condition: Q, vendor: str) -> Q:
    """Return a condition with its long lists as comparisons one by one, where that is better."""
    worded = Q(_connector=condition.connector, _negated=condition.negated)
    for child in condition.children:
        worded.children.append(spelled_out(child, vendor) if isinstance(child, Q) else _worded(child, vendor))
    return worded


def _worded(child: Any, vendor: str) -> Any:
    """Return one part of a condition, as comparisons if it is a long list."""
    name, values = child
    if not name.endswith("__in") or not compares_one_by_one(vendor, len(values)):
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
        if schema_editor.connection.vendor != "postgresql":
            return self._worded_for(schema_editor.connection.vendor, model, schema_editor, using, **options)
        statement: Any = super().create_sql(model, schema_editor, f" USING {self.method}" if self.method else using, **options)
        if self.tuned:
            pairs = ", ".join(f"{name} = {value}" for name, value in self.tuned.items())
            statement.parts["extra"] = f"{statement.parts['extra']} WITH ({pairs})"
        return statement

    def _worded_for(self, vendor: str, model: Any, schema_editor: Any, using: str, **options: Any) -> Any:
        """Return the statement with the condition as this database likes it."""
        plain = self.clone()
        plain.condition = spelled_out(self.condition, vendor) if self.condition else None
        return Index.create_sql(plain, model, schema_editor, using, **options)

    def remove_sql(self, model: Any, schema_editor: Any, **options: Any) -> Any:
        """Return the statement that removes it."""
        return NOTHING if self._is_elsewhere(schema_editor) else super().remove_sql(model, schema_editor, **options)

    def _is_elsewhere(self, schema_editor: Any) -> bool:
        """Tell whether another database has it."""
        return self.only not in ("", schema_editor.connection.vendor)
