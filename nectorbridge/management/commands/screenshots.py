"""`manage.py screenshots`: takes the pictures in README and docs anew."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from nectorbridge.screenshots.shots import SHOTS
from nectorbridge.testing.parts import browser_missing


class Command(BaseCommand):
    """For development: needs Chromium and what `setup --dev` installs."""

    help = "Take the pictures of README and docs of a demo installation in a temporary place."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("names", nargs="*", help="only these pictures, such as dashboard")
        parser.add_argument("--to", type=Path, help="write them into this folder instead of docs/screens")

    def handle(self, *args: Any, **options: Any) -> None:
        """Take them."""
        if missing := browser_missing():
            raise CommandError(f"No pictures can be taken: {missing}.")
        if importlib.util.find_spec("time_machine") is None:
            raise CommandError("No pictures can be taken: time-machine is not installed (manage.py setup --dev).")
        known = {shot.name: shot for shot in SHOTS}
        if unknown := sorted(set(options["names"]) - set(known)):
            raise CommandError(f"There is no picture of this name: {', '.join(unknown)}. There are: {', '.join(known)}.")
        from nectorbridge.screenshots.taking import take

        wanted = [known[name] for name in options["names"]] or list(SHOTS)
        files = take(wanted, options["to"], self.stdout.write)
        self.stdout.write(f"{len(files)} pictures are in {files[0].parent}.")
