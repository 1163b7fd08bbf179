"""What the project stands on: lock files that fit the requirements, hashes for every file, licences, and what is known."""

from __future__ import annotations

import json
import stat
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from nectorbridge import supply

BASE = Path(settings.BASE_DIR)
RUNNING, DEVELOPING = supply.locked(BASE / "requirements.lock"), supply.locked(BASE / "requirements-dev.lock")
ALLOWED = (
    "MIT",
    "BSD",
    "Apache",
    "PSF",
    "Python Software",
    "ISC",
    "MPL",
    "Mozilla",
    "LGPL",
    "Public Domain",
    "Unlicense",
    "CNRI",
)


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_a_lock_has_what_its_requirements_ask_for_in_that_version(name):
    lock = supply.locked(BASE / f"{name}.lock")
    for package, (operator, version) in supply.wanted(BASE / f"{name}.txt").items():
        found = lock[package].version
        fits = found == version if operator == "==" else found.startswith(version.rpartition(".")[0] + ".")
        assert fits, f"{package} is {found} in {name}.lock: run manage.py lock"


def test_every_locked_package_has_hashes_and_those_with_parts_in_c_have_them_for_many_machines():
    assert not [package.name for package in (RUNNING | DEVELOPING).values() if not package.hashes]
    for name in ("cryptography", "orjson", "psycopg-binary", "cffi"):
        assert RUNNING[name].hashes > 15, name


def test_developing_runs_the_same_versions():
    assert {name: package.version for name, package in DEVELOPING.items() if name in RUNNING} == {
        name: package.version for name, package in RUNNING.items()
    }


def test_the_page_of_licences_names_every_locked_package_and_what_is_installed_says_the_same():
    rows = dict(line.split(" | ")[:2] for line in supply.PAGE.read_text().splitlines() if line.startswith("| ["))
    said = {line.partition("[")[2].partition("]")[0]: licence for line, licence in rows.items()}
    assert set(said) == set(RUNNING | DEVELOPING), "run manage.py licences"
    for name, licence in said.items():
        assert any(word in licence for word in ALLOWED), f"{name}: {licence}"
        try:
            assert supply.licence(name) == licence, f"{name}: run manage.py licences"
        except PackageNotFoundError:
            continue  # set up without the lock, other packages may lie beneath


KNOWN = [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2", "fix_versions": []}]
REPORT = {
    "dependencies": [
        {"name": "fine", "version": "1", "vulns": []},
        {
            "name": "bad",
            "version": "2",
            "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
        },
        {"name": "unknown", "skip_reason": "not found"},
    ]
}


UNKNOWN = json.dumps({"dependencies": REPORT["dependencies"][2:]})


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A pip-audit that answers what it is told."""

    def answers(text: str, code: int = 0, says: str = "") -> None:
        (tmp_path / "answer").write_text(text)
        script = tmp_path / "pip-audit"
        script.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\necho '{says}' >&2\nexit {code}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return answers


def test_what_is_known_against_a_package_is_told_and_fails(tool, capsys):
    tool(json.dumps(REPORT), 1)
    with pytest.raises(SystemExit):
        call_command("audit")
    out = capsys.readouterr().out
    assert "bad 2: PYSEC-1, mended in 2.1" in out and "PYSEC-2, mended in no version" in out and "1 packages could not" in out


def test_nothing_known_passes(tool, capsys):
    tool(json.dumps({"dependencies": REPORT["dependencies"][:1]}))
    call_command("audit")
    assert "Nothing is known against 1 packages." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "why"),
    [("", "ConnectionError: no route"), ("{}", "ConnectionError: no route"), (UNKNOWN, "it finds none of the packages")],
)
def test_where_nothing_can_be_asked_that_is_said_and_nothing_fails(tool, capsys, answer, why):
    tool(answer, 1, "ConnectionError: no route")
    call_command("audit")
    assert f"Skipped: the database of vulnerabilities cannot be asked from here ({why})." in capsys.readouterr().out


def test_without_the_tools_it_is_said_how_to_get_them(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    call_command("audit")
    assert "pip install pip-audit" in capsys.readouterr().out
    with pytest.raises(CommandError, match="pip install uv"):
        call_command("lock")
