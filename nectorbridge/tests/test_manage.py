"""The first thing a newcomer meets: what `manage.py` says when something is missing, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

import manage

ROOT = Path(__file__).resolve().parents[2]
Version = namedtuple("Version", "major minor micro releaselevel serial")


def run(*arguments, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_old_python_gets_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", Version(3, 9, 2, "final", 0))
    with pytest.raises(SystemExit) as end:
        manage.main()
    said = capsys.readouterr().err
    assert end.value.code == 1 and said == "nectorbridge: needs Python 3.11 or newer; this is 3.9\n"


def test_manage_py_can_be_read_by_an_old_python():
    source = (ROOT / "manage.py").read_text()
    compile(source, "manage.py", "exec", flags=0)
    import ast

    assert ast.parse(source, feature_version=(3, 7))


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DEBUG": "false"}, "SECRET_KEY"),
        ({"DATABASE_URL": "postgres://x@127.0.0.1/x"}, "SECRET_KEY"),
        ({"DEBUG": "false", "SECRET_KEY": "s" * 50}, "FERNET_KEYS"),
        ({"DEBUG": "false", "SECRET_KEY": "s" * 50, "FERNET_KEYS": "f" * 40}, "ALLOWED_HOSTS"),
    ],
)
def test_a_missing_key_gets_one_line_that_names_it(environment, named, tmp_path):
    result = run("up", DATA_DIR=str(tmp_path), **environment)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"nectorbridge: {named} is not set")


def test_an_unreadable_database_address_gets_one_line(tmp_path):
    result = run("check", DATA_DIR=str(tmp_path), DATABASE_URL="nonsense", DEBUG="true")
    assert result.returncode == 1 and "DATABASE_URL cannot be read" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["DELIVERY_LEASE_SECONDS", "DELIVERY_RETRY_STEPS", "DELIVERY_WORKERS"])
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "5,,6"])
def test_a_setting_that_is_no_number_gets_one_line_that_names_it(name, value, tmp_path):
    result = run("check", DATA_DIR=str(tmp_path), **{name: value})
    assert result.returncode == 1 and result.stderr.startswith(f"nectorbridge: {name} must be ")
    assert result.stderr.count("\n") == 1


def test_keys_of_a_laptop_are_made_once_and_readable_by_their_owner_only(tmp_path):
    for _ in range(2):
        assert run("check", DATA_DIR=str(tmp_path)).returncode == 0
    key = tmp_path / "secret_key"
    assert key.stat().st_mode & 0o777 == 0o600 and key.read_text() != (tmp_path / "fernet_key").read_text()


def test_setup_takes_no_other_words():
    result = run("setup", "--nonsense")
    assert result.returncode == 1 and result.stderr.startswith("nectorbridge: setup takes only --dev")


@pytest.fixture
def calls(monkeypatch):
    """What `setup` runs; each call answers with the next of `results`."""

    class Calls(list):
        results: list[int] = []

        def __call__(self, command, **_options):
            self.append(" ".join(command).partition(" -m ")[2])
            return self.results.pop(0) if self.results else 0

    made = Calls()
    monkeypatch.setattr(manage.subprocess, "call", made)
    monkeypatch.setattr(manage.os.path, "exists", lambda _path: True)
    return made


PIP = "pip install --quiet --disable-pip-version-check"


def test_setup_installs_the_lock_with_its_hashes(calls):
    manage.setup(["--dev"])
    assert calls == [f"{PIP} --require-hashes -r requirements-dev.lock"]


def test_an_index_that_cannot_serve_the_lock_still_gets_a_working_set_up_and_a_line_says_so(calls, capsys):
    calls.results = [1, 0]
    manage.setup([])
    assert calls == [f"{PIP} --require-hashes -r requirements.lock", f"{PIP} -r requirements.txt"]
    assert "installing requirements.txt without hashes" in capsys.readouterr().err


def test_locked_takes_nothing_else(calls):
    calls.results = [1, 0]
    with pytest.raises(SystemExit):
        manage.setup(["--locked"])
    assert len(calls) == 1
