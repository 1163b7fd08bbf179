"""`manage.py backup`: a whole copy of a database in use, for nobody else to read."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from nectorbridge.management.commands import backup


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A database with a row that is committed but not in its file yet, and a connection that holds it open."""
    file = tmp_path / "in use.sqlite3"
    with closing(sqlite3.connect(file)) as open_one:
        open_one.execute("PRAGMA journal_mode=WAL")
        open_one.execute("CREATE TABLE kept (number)")
        open_one.execute("INSERT INTO kept VALUES (42)")
        open_one.commit()
        monkeypatch.setattr(connection, "vendor", "sqlite")
        monkeypatch.setitem(connection.settings_dict, "NAME", str(file))
        yield file


def test_the_copy_has_what_was_committed_in_one_file(source, tmp_path):
    target = tmp_path / "copies" / "copy.sqlite3"
    target.parent.mkdir()
    call_command("backup", target, verbosity=0)
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT number FROM kept").fetchall() == [(42,)]
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite3"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_copy_that_fails_leaves_the_former_one(source, tmp_path, monkeypatch):
    target = tmp_path / "copy.sqlite3"
    target.write_text("the former one")

    def damaged(*_args):
        raise sqlite3.DatabaseError("the copy is damaged: page 3")

    monkeypatch.setattr(backup, "copy", damaged)
    with pytest.raises(CommandError, match="No backup was made: the copy is damaged"):
        call_command("backup", target)
    assert target.read_text() == "the former one"


def test_without_a_database_or_a_folder_it_says_so(source, tmp_path, monkeypatch):
    with pytest.raises(CommandError, match="No backup was made"):
        call_command("backup", tmp_path / "nowhere" / "copy.sqlite3")
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "gone.sqlite3"))
    with pytest.raises(CommandError, match="There is no database at"):
        call_command("backup", tmp_path / "copy.sqlite3")


def test_on_postgresql_it_names_the_other_tool(monkeypatch, tmp_path):
    monkeypatch.setattr(connection, "vendor", "postgresql")
    with pytest.raises(CommandError, match="pg_dump"):
        call_command("backup", tmp_path / "copy")
