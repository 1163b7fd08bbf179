"""The lock that every transaction takes first which claims, stamps or cancels events of one integration."""

from __future__ import annotations

from django.db import connection

LOCK_SPACE = 0x6E62  # "nb": the first key of this project's advisory locks


def lock_integration(integration_id: int, may_be_lost: bool = False) -> None:
    """Take claims, stamps and a disconnect of one integration in turn, until the transaction ends.

    Before any row of the integration is locked: two who take these in a different order would wait for each other. SQLite's
    write lock does it already. It is a statement of its own: the next one then sees what the former holder committed.

    `may_be_lost`: should the database crash in the next moment, this transaction need not have happened; its commit does not
    wait for the disk. (A later commit that does wait takes it along.)
    """
    if connection.vendor == "postgresql":
        unsynced = ", set_config('synchronous_commit', 'off', true)" if may_be_lost else ""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock(%s, %s){unsynced}", [LOCK_SPACE, integration_id])
