"""`manage.py doctor`: is every part configured and alive? Says what is wrong in words, and what to do."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from nectorbridge.diagnosis import diagnose

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    """Prints one line per part; exits with 1 if any of them needs a person."""

    help = "Check every part of the installation; exits with 1 if something is wrong. A note does not count as wrong."
    requires_system_checks = ()  # they are a part of what is examined

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--json", action="store_true", help="print what was found as JSON, for a program")
        parser.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="after a start: look again until nothing is wrong, so long"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, and report."""
        deadline, findings = time.monotonic() + options["wait"], diagnose()
        while time.monotonic() < deadline and not all(finding.ok for finding in findings):
            time.sleep(LOOK_SECONDS)
            findings = diagnose()
        sound = all(finding.ok for finding in findings)
        if options["json"]:
            told = [{"part": one.part, "state": one.state, "says": one.says, "fix": one.fix} for one in findings]
            self.stdout.write(json.dumps({"ok": sound, "findings": told}, indent=2, ensure_ascii=False))
        else:
            marks = {"ok": self.style.SUCCESS, "note": self.style.WARNING, "wrong": self.style.ERROR}
            for finding in findings:
                self.stdout.write(f"{marks[finding.state](f'{finding.state:5}')} {finding.part}: {finding.says}")
                if finding.fix:
                    self.stdout.write(f"      {finding.fix}")
        if not sound:
            raise SystemExit(1)
