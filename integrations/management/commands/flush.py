"""Django's `manage.py flush`, which empties the whole database: the audit trail as well, where a trigger keeps it."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import flush
from django.db import connections

from integrations.trail import may_be_emptied


class Command(flush.Command):
    """Empty the database."""

    def handle(self, **options: Any) -> None:
        """Do as Django does, in one transaction with what makes it possible."""
        with may_be_emptied(connections[options["database"]]):
            super().handle(**options)
