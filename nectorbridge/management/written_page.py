"""A command that writes a page of docs from the table that drives it, or says that the page is out of date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class WrittenPage(BaseCommand):
    """Writes a page; a subclass says which."""

    def page(self) -> tuple[Path, str]:
        """Return where the page is, and what belongs in it."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a switch that writes nothing."""
        parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, or compare."""
        path, page = self.page()
        if not options["check"]:
            path.write_text(page)
        elif not path.exists() or path.read_text() != page:
            name = type(self).__module__.rpartition(".")[2]
            raise CommandError(f"docs/{path.name} is out of date. Run: manage.py {name}")
