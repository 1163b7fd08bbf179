"""`manage.py chaos`: kill everything, break everything, and count what was lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from nectorbridge.chaos.home import temporary_home
from nectorbridge.chaos.report import render
from nectorbridge.chaos.servers import Missing, program
from nectorbridge.processes import tied

INSIDE = "nectorbridge.chaos.inside"
STORES = {"sqlite": "SQLite, ORM broker", "postgres": "PostgreSQL, Redis broker"}


class Command(BaseCommand):
    """Run the chaos suite in a throw-away installation; this installation's data is never touched."""

    help = "Records events while processes, database, queue and providers fail at random; fails unless nothing was lost."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--events", type=int, default=2000, help="how many events to record (default: %(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="which world and which trouble (default: %(default)s)")
        parser.add_argument("--store", choices=list(STORES), default="sqlite", help="what it runs on (default: %(default)s)")
        parser.add_argument("--workers", type=int, default=1, help="how many `manage.py worker` (default: %(default)s)")
        parser.add_argument("--actions", type=int, default=0, help="how many kills, restarts and so on (default: by the events)")
        parser.add_argument("--seconds", type=float, default=0.0, help="over how long to record (default: by the actions)")
        parser.add_argument("--quiet", action="store_true", help="no trouble at all: the control")
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, print the counts, and fail where something happened that must not."""
        if options["events"] < 1 or options["workers"] < 1:
            raise CommandError("--events and --workers take 1 or more.")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up then, too
        try:
            if options["store"] == "postgres":
                for name in ("initdb", "postgres", "redis-server"):
                    program(name)
            data = self._run(options)
        except Missing as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing is left behind.") from None
        self.stdout.write(json.dumps(data, indent=2) if options["json"] else render(data))
        if data["violations"]:
            raise CommandError(f"{data['violations']} violations.")

    def _run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Run in an installation and a process of its own; return the result."""
        names = ("events", "seed", "store", "workers", "actions", "seconds", "quiet")
        chosen = json.dumps({name: options[name] for name in names})
        with temporary_home(options["store"]) as (folder, environment):
            result = folder / "result.json"
            launcher = [sys.executable, tied.__file__, str(os.getpid()), INSIDE]
            process = subprocess.Popen([*launcher, chosen, str(result)], env=dict(environment), cwd=folder)  # noqa: S603
            try:
                code = process.wait()
            finally:
                process.kill()  # its own children are tied to it and die with it
                process.wait()
            if code or not result.exists():
                raise CommandError(f"The run ended with exit code {code}.")
            return dict(json.loads(result.read_text()))
