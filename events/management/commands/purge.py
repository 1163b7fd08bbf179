"""`manage.py purge`: delete what the retention settings give up; the worker does the same by itself, a little at a time."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from events import retention, statistics

QUARTERS = 16  # that are folded in one transaction
KINDS = ("deliveries", "payloads", "tries", "calls", "tasks", "audit trail", "invitations", "sessions")


class Command(BaseCommand):
    """Fold the statistics, then purge batch by batch. Ctrl-C loses nothing; the next run goes on."""

    help = "Deletes what is older than RETENTION_*_DAYS, in small transactions; the statistics stay. Safe at any time."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Purge, or say what would go."""
        chosen = retention.policy()
        for what, days in (("deliveries", chosen.deliveries), ("payloads", chosen.payloads), ("tries", chosen.attempts)):
            until = f"older than {days:%Y-%m-%d %H:%M} UTC go" if days else "are kept for ever"
            self.stdout.write(f"{what} {until}")
        if options["dry_run"]:
            self._preview(chosen)
            return
        while statistics.fold(most=QUARTERS):
            pass
        began, done = time.monotonic(), Counter[str]()
        try:
            for what, number in retention.batches(chosen):
                done[what] += number
        except KeyboardInterrupt:
            self.stdout.write("Stopped. The next run goes on from here.")
        seconds = max(time.monotonic() - began, 0.001)
        for what in (*KINDS, *(kind.what for kind in retention.HOSTS_KINDS)):
            if done[what]:
                self.stdout.write(f"{what}: {done[what]:,} done")
        self.stdout.write(f"{done.total():,} rows in {seconds:.1f} s" if done else "Nothing is old enough.")

    def _preview(self, chosen: retention.Policy) -> None:
        """Say how many rows would go."""
        for what, number in retention.preview(chosen).items():
            more = number > retention.COUNT_LIMIT
            self.stdout.write(f"{what}: {f'more than {retention.COUNT_LIMIT:,}' if more else f'{number:,}'} would go")
        self.stdout.write("Nothing was changed.")
