"""`manage.py retrytable`: writes the page of retries from the table that drives them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from nectorbridge.retrytable import PATH, render


class Command(BaseCommand):
    """Writes `docs/retries.md`, or says that it is out of date."""

    help = "Write docs/retries.md from the default table of steps."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a switch that writes nothing."""
        parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, or compare."""
        page = render()
        if not options["check"]:
            PATH.write_text(page)
        elif not PATH.exists() or PATH.read_text() != page:
            raise CommandError("docs/retries.md is out of date. Run: manage.py retrytable")
