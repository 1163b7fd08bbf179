"""`manage.py rotatekeys`: encrypt every stored secret with the first of FERNET_KEYS, or look whether all can be read."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations import rotation
from integrations.rotation import Column, Found, State

SECONDS_BETWEEN_LINES = 2.0
MOST_PASSES = 3  # a row that was read before it was renewed may be saved again as it was


class Command(BaseCommand):
    """Goes through all sealed columns; exits with 1 if a secret cannot be read, or is not under the first key afterwards."""

    help = "Re-encrypts all secrets with the first key of FERNET_KEYS. Safe while everything runs; cut off, it goes on next time."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--check", action="store_true", help="only read every secret; exits with 1 if one cannot be")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, or check."""
        try:
            lost, former = self._check() if options["check"] else self._rotate()
        except KeyboardInterrupt:
            self.stdout.write("Stopped. The next run goes on from here.")
            raise SystemExit(1) from None
        for found in lost:
            self.stdout.write(self.style.ERROR(f"cannot be read: {found.name}: {found.why}"))
        if lost:
            self.stdout.write("Put the former key back into FERNET_KEYS, behind the first, or enter these secrets again.")
            raise SystemExit(1)
        if former and not options["check"]:
            raise CommandError(f"{former:,} secrets are under a former key again: something still runs with the former order.")
        if former:
            self.stdout.write(f"{former:,} secrets are under a former key, which must stay: run manage.py rotatekeys.")
        else:
            self.stdout.write(self.style.SUCCESS("Every secret is under the first key."))

    def _check(self) -> tuple[list[Found], int]:
        """Read everything. Returns what cannot be read, and how many secrets the first key does not read."""
        lost: list[Found] = []
        former = 0
        for column in rotation.columns():
            count = Counter[State]()
            for found in rotation.survey(column):
                count[found.state] += 1
                if found.state is State.UNREADABLE:
                    lost.append(found)
            former += count[State.FORMER]
            self.stdout.write(f"{column.label}: {_told(count)}")
        return lost, former

    def _rotate(self) -> tuple[list[Found], int]:
        """Renew everything, again as long as others write what was read before. Returns the same as `_check`."""
        lost: list[Found] = []
        former = 0
        for turn in range(MOST_PASSES):
            results = [self._renew(column, turn == 0) for column in rotation.columns()]
            lost = [found for unread, _written, _former in results for found in unread]
            former = sum(left for _unread, _written, left in results)
            if not former and not any(written for _unread, written, _former in results):
                break
        return lost, former

    def _renew(self, column: Column, is_first: bool) -> tuple[list[Found], int, int]:
        """Renew a column, with its progress. Returns what cannot be read, and the numbers of those written and those left."""
        lost: list[Found] = []
        seen = written = left = 0
        total, told_at = column.rows().count(), time.monotonic()
        for found, was_written in rotation.renew(column):
            seen, written = seen + 1, written + was_written
            left += found.state is State.FORMER
            if found.state is State.UNREADABLE:
                lost.append(found)
            if time.monotonic() - told_at > SECONDS_BETWEEN_LINES:
                told_at = time.monotonic()
                self.stdout.write(f"{column.label}: {seen:,} of {total:,}, {written:,} re-encrypted ...")
        if written or is_first:
            self.stdout.write(f"{column.label}: {seen:,} of {total:,}, {written:,} re-encrypted")
        return lost, written, left


def _told(count: Counter[State]) -> str:
    """Return a column's numbers in words."""
    words = {State.CURRENT: "under the first key", State.FORMER: "under a former key", State.UNREADABLE: "cannot be read"}
    return ", ".join(f"{count[state]:,} {text}" for state, text in words.items() if count[state]) or "none"
