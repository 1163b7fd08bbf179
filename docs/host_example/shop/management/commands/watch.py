"""`manage.py watch`: what must not depend on anybody remembering, again and again. Run it beside `manage.py qcluster`."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from events.chores import Rounds, registered


class Command(BaseCommand):
    """Does the chores of all apps until told to stop. Several at once do no harm."""

    help = "Rings for what is due, adds up what was counted, purges what is old. SIGTERM or Ctrl-C stops it."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do each chore when it is due."""
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        Rounds(registered()).until(stopped)
