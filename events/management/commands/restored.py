"""`manage.py restored`: after a database was restored from a backup, and before any worker starts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from events.restored import doubt


class Command(BaseCommand):
    """Says of what waited when the backup was made that it may have been sent since."""

    help = "After a restore and before any worker starts: marks what waited as uncertain, since it may have been sent meanwhile."

    def handle(self, *args: Any, **options: Any) -> None:
        """Mark, and say how many."""
        number = doubt(timezone.now())
        self.stdout.write(f"{number} deliveries may have been sent since the backup; each is marked as uncertain.")
