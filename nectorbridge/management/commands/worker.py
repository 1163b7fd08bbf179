"""`manage.py worker`: the task cluster under supervision."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from nectorbridge.processes.stopping import StopRequests
from nectorbridge.processes.supervisor import Supervisor

GRACE_SECONDS = 25.0


class Command(BaseCommand):
    """Run the workers that deliver events, and keep them running."""

    help = "Runs the task cluster, restarts it when it hangs or dies, and rings for what is due. SIGTERM or Ctrl-C stops it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--grace",
            type=float,
            default=GRACE_SECONDS,
            metavar="SECONDS",
            help=f"how long running tasks may go on after SIGTERM or Ctrl-C (default: {GRACE_SECONDS:g})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Supervise until told to stop."""
        Supervisor(options["grace"], StopRequests()).run()
