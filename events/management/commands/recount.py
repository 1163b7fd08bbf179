"""`manage.py recount`: prove that the statistics are what the rows say; with `--repair`, make them so."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events import statistics_engagement, statistics_proof

MOST_LINES = 20


class Command(BaseCommand):
    """Compares every figure that was counted with the rows that are still there."""

    help = "Compare the statistics with the rows they are of; with --repair, have them say what the rows say."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take `--repair`."""
        parser.add_argument("--repair", action="store_true", help="Write what the rows say.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what differs. Raises CommandError where something does and was not repaired."""
        while statistics_engagement.count():
            pass
        quarters, found = 0, 0
        for quarter, differences in statistics_proof.prove(options["repair"]):
            quarters += quarter is not None
            for item in differences[: max(MOST_LINES - found, 0)]:
                self.stdout.write(_line(item))
            found += len(differences)
        if found > MOST_LINES:
            self.stdout.write(f"... and {found - MOST_LINES:,} more")
        looked = f"{quarters:,} quarters of an hour and all opens and clicks were compared with their rows"
        if not found:
            self.stdout.write(self.style.SUCCESS(f"{looked}: every figure is right."))
        elif options["repair"]:
            self.stdout.write(self.style.SUCCESS(f"{looked}: {found:,} figures were put right."))
        else:
            raise CommandError(f"{looked}: {found:,} figures differ. Put them right with: manage.py recount --repair")


def _line(item: statistics_proof.Difference) -> str:
    """Return a difference in one line."""
    where = item.where
    name = f"{where.figure} {where.reason}".strip()
    of = f"event {where.definition}" if where.definition else "all events"
    return f"{where.starts_at:%Y-%m-%d %H:%M} UTC, {of}, {name}: {item.counted:,} counted, {item.rows:,} rows"
