"""What keeps the audit trail on SQLite: triggers that refuse to delete what is young, and to write over anything.

Whoever holds the file can take a trigger away; this is against mistakes, and against code that only has SQL. On PostgreSQL the
function of the migration `0012_audit` does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

KEPT = "integrations_auditentry_kept"
REFUSAL = "SELECT RAISE(ABORT, 'the audit trail is append-only')"
# Moments are texts in UTC, which compare as they follow each other. REPLACE deletes without asking a trigger: hence the second.
STAYS = {
    KEPT: f"""
        CREATE TRIGGER {KEPT} BEFORE DELETE ON integrations_auditentry
        WHEN OLD.at >= datetime('now', '-30 days') BEGIN {REFUSAL}; END
    """,
    "integrations_auditentry_not_replaced": f"""
        CREATE TRIGGER integrations_auditentry_not_replaced BEFORE INSERT ON integrations_auditentry
        WHEN EXISTS (SELECT 1 FROM integrations_auditentry WHERE id = NEW.id) BEGIN {REFUSAL}; END
    """,  # noqa: S608 - nothing from outside
}


@contextmanager
def may_be_emptied(connection: Any) -> Iterator[None]:
    """Let the whole table be emptied inside the block: one transaction, in which nobody else writes. SQLite only."""
    if connection.vendor != "sqlite":
        yield  # PostgreSQL truncates, which asks no trigger of rows
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = %s", [KEPT])
        was_kept = cursor.fetchone() is not None
        if was_kept:
            cursor.execute(f"DROP TRIGGER {KEPT}")
        yield
        if was_kept:
            cursor.execute(STAYS[KEPT])
