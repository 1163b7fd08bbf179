"""`manage.py rotatekeys`: encrypt every stored secret with the first of FERNET_KEYS, or look whether all can be read."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events import rotating
from events.models import KeyRotation, RotationState
from integrations import rotation
from integrations.rotation import Found, State

LOOK_SECONDS = 0.5  # at a run at which somebody else works


class Command(BaseCommand):
    """Goes through all sealed columns; exits with 1 if a secret cannot be read, or is not under the first key afterwards."""

    help = "Re-encrypts all secrets with the first key of FERNET_KEYS. Safe while everything runs; cut off, it goes on next time."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--check", action="store_true", help="only read every secret; exits with 1 if one cannot be")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, or check."""
        lost, former, unnamed = self._check() if options["check"] else self._rotate()
        for found in lost:
            self.stdout.write(self.style.ERROR(f"cannot be read: {found.name}: {found.why}"))
        if unnamed:
            self.stdout.write(f"{unnamed:,} more cannot be read: manage.py rotatekeys --check names all.")
        if lost or unnamed:
            self.stdout.write("Put the former key back into FERNET_KEYS, behind the first, or enter these secrets again.")
            raise SystemExit(1)
        if former and not options["check"]:
            raise CommandError(f"{former:,} secrets are under a former key again: something still runs with the former order.")
        if former:
            self.stdout.write(f"{former:,} secrets are under a former key, which must stay: run manage.py rotatekeys.")
        else:
            self.stdout.write(self.style.SUCCESS("Every secret is under the first key."))

    def _check(self) -> tuple[list[Found], int, int]:
        """Read everything. Returns what cannot be read, how many secrets the first key does not read, and 0."""
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
        return lost, former, 0

    def _rotate(self) -> tuple[list[Found], int, int]:
        """Begin a run, or go on with the one there is, and work at it to its end. Returns what it could not read, and left."""
        run = rotating.start()
        if run.handled or run.passes > 1:
            self.stdout.write(f"Goes on with the run of {run}: {run.handled:,} of {run.total:,} are done.")
        try:
            while run.state == RotationState.RUNNING:
                done = rotating.work(run.pk)
                run.refresh_from_db()
                self._tell(run, done)
        except KeyboardInterrupt:
            rotating.stop(run)
            self.stdout.write("Stopped. The next run goes on from here.")
            raise SystemExit(1) from None
        if run.state == RotationState.STOPPED:
            raise CommandError(run.message)
        return rotating.lost_of(run), run.former, run.unreadable - len(run.lost)

    def _tell(self, run: KeyRotation, done: int) -> None:
        """Print how far it is; where it is not ours to go on, wait a moment."""
        word = "looked at once more" if run.passes > 1 and run.state == RotationState.RUNNING else "looked at"
        self.stdout.write(f"{run.handled:,} of {run.total:,} {word}, {run.written:,} re-encrypted")
        if done or run.state != RotationState.RUNNING:
            return
        if run.message:
            self.stdout.write(run.message)
        elif run.lease_until and run.lease_until > timezone.now():
            self.stdout.write("A worker has it. If that was killed, this goes on within a minute.")
        time.sleep(LOOK_SECONDS)


def _told(count: Counter[State]) -> str:
    """Return a column's numbers in words."""
    words = {State.CURRENT: "under the first key", State.FORMER: "under a former key", State.UNREADABLE: "cannot be read"}
    return ", ".join(f"{count[state]:,} {text}" for state, text in words.items() if count[state]) or "none"
