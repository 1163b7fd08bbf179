"""A command that writes a page of docs from the table that drives it, or says that the page is out of date."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class WrittenPage(BaseCommand, ABC):
    """Writes a page; a subclass says which."""

    name = ""  # of the page, below the project's folder

    @abstractmethod
    def page(self) -> tuple[Path, str]:
        """Return where the page is, and what belongs in it."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a switch that writes nothing."""
        parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, or compare."""
        path, page = self.page()
        if not options["check"]:
            path.write_text(page)
        elif not path.exists() or path.read_text() != page:
            raise CommandError(f"{self.name} is out of date. Run: manage.py {type(self).__module__.rpartition('.')[2]}")
