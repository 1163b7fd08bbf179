"""What the project stands on: the packages of the lock files, their licences, and what is known against them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from django.conf import settings

ENTRY = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(==|~=)([^\s;#]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
CLASSIFIER = "License :: OSI Approved :: "
LONGEST_LICENCE = 60  # some put the whole text where a name belongs
# Not installed on most machines, so that their own words cannot be asked: what needs them is an old Python or Windows.
ELSEWHERE = {"async-timeout": "Apache-2.0", "colorama": "BSD-3-Clause", "tzdata": "Apache-2.0"}
NOWHERE = ("no version",)
PAGE = Path(settings.BASE_DIR) / "docs" / "licences.md"
HEAD = """# Licences

What Nectorbridge runs on, and what is installed for its tests and development besides. Written by `manage.py licences` from the
lock files and what the packages say of themselves. Nectorbridge itself is MIT.

| package | licence | for |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Package:
    """One line of a lock file. `hashes` counts the files that are accepted."""

    name: str
    version: str
    marker: str
    hashes: int


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: Path) -> dict[str, Package]:
    """Return the packages of a lock file by their name."""
    found: dict[str, Package] = {}
    current = ""
    for line in path.read_text().splitlines():
        if match := ENTRY.match(line):
            current = normal(match[1])
            found[current] = Package(current, match[2], match[3] or "", 0)
        if current and HASH.search(line):
            old = found[current]
            found[current] = Package(old.name, old.version, old.marker, old.hashes + 1)
    return found


def wanted(path: Path) -> dict[str, tuple[str, str]]:
    """Return what a requirements file asks for by name: `==` or `~=`, and the version."""
    lines = (PIN.match(line) for line in path.read_text().splitlines())
    return {normal(match[1]): (match[2], match[3]) for match in lines if match}


def licence(name: str) -> str:
    """Return what a package says of its licence. Raises PackageNotFoundError where it is not installed and not known."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    about: Any = metadata(name)
    said = about.get("License-Expression") or about.get("License") or ""
    if said and len(said) <= LONGEST_LICENCE and "\n" not in said:
        return str(said)
    classified = [value.removeprefix(CLASSIFIER) for value in about.get_all("Classifier") or () if value.startswith(CLASSIFIER)]
    return ", ".join(classified) or "not said"


def licences_page() -> str:
    """Return the page of licences."""
    base = Path(settings.BASE_DIR)
    running, developing = locked(base / "requirements.lock"), locked(base / "requirements-dev.lock")
    rows = []
    for name in sorted(running | developing):
        try:
            said = licence(name)
        except PackageNotFoundError:
            said = "not installed here"
        rows.append(f"| [{name}](https://pypi.org/project/{name}/) | {said} | {'all' if name in running else 'development'} |\n")
    return HEAD + "".join(rows)


@dataclass(frozen=True, slots=True)
class Audit:
    """What pip-audit found: what is known against which package, and how many packages could not be looked up."""

    known: list[str]
    looked_up: int
    left_out: int


def judge(report: str) -> Audit | None:
    """Read pip-audit's JSON; None where it is none."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    known = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {' '.join(found.get('fix_versions') or NOWHERE)}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    left_out = sum("skip_reason" in package for package in packages)
    return Audit(known, len(packages) - left_out, left_out)
