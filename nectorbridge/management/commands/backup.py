"""`manage.py backup FILE`: a copy of the SQLite database, taken while everything runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

PRIVATE = 0o600
ON_POSTGRESQL = "This is for SQLite. On PostgreSQL use pg_dump; docs/backup.md has the command."


class Command(BaseCommand):
    """Copies the database file as of one moment, checks the copy, and only then gives it its name."""

    help = "Copy the SQLite database into FILE while everything runs. The keys are not in it: see docs/backup.md."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path, help="where the copy goes; an older one of this name is replaced")

    def handle(self, *args: Any, **options: Any) -> None:
        """Copy, check, rename."""
        if connection.vendor != "sqlite":
            raise CommandError(ON_POSTGRESQL)
        target: Path = options["file"]
        source = Path(str(connection.settings_dict["NAME"]))
        if not source.is_file():
            raise CommandError(f"There is no database at {source}.")
        unfinished = target.with_name(f"{target.name}.unfinished")
        try:
            unfinished.unlink(missing_ok=True)
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))  # nobody else may read it
            copy(source, unfinished)
            unfinished.replace(target)
        except (OSError, sqlite3.Error) as error:
            raise CommandError(f"No backup was made: {error}") from None
        self.stdout.write(f"The database is in {target} ({target.stat().st_size:,} bytes), and was read through.")


def copy(source: Path, target: Path) -> None:
    """Copy a database that is in use, and read the copy through. Raises OSError or sqlite3.Error."""
    address = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as here, closing(sqlite3.connect(target)) as there:
        here.backup(there)
        there.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
        found = there.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged: {found}")
    with target.open("rb+") as file:
        os.fsync(file.fileno())
