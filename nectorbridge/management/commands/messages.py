"""`manage.py messages`: brings the catalogs of all languages up to what is marked for translation, and compiles them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from nectorbridge.languages.upkeep import State, languages, states


class Command(BaseCommand):
    """Writes `.po` and `.mo` files; says what is still to be translated, and what a translation lost."""

    help = "Bring the catalogs (*/locale) up to what is marked for translation, and compile them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if anything is to be done")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, or compare."""
        found = [state for language in languages() for state in states(language)]
        old = [state for state in found if not state.is_written]
        for state in old if not options["check"] else ():
            state.write()
        for state in found:
            self._tell(state)
        if options["check"] and (old or any(state.missing or state.faults for state in found)):
            raise CommandError("The catalogs are not what they are to be. Run: manage.py messages")

    def _tell(self, state: State) -> None:
        """Say how a catalog is."""
        name = state.path.relative_to(Path(settings.BASE_DIR)).as_posix()
        self.stdout.write(f"{name}: {len(state.catalog.entries)} messages, {len(state.missing)} to be translated")
        for line in [f"  {text!r}" for text in state.missing[:5]] + [f"  {line}" for line in state.faults]:
            self.stdout.write(line)
