"""The rooms: imports point one way, and the reusable apps stand without the loyalty room."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Which project packages each room may import from.
MAY_IMPORT = {
    "integrations": {"integrations"},
    "events": {"events", "integrations"},
    "nectorbridge/loyalty": {"nectorbridge.loyalty", "events", "integrations"},
}
# What shows that an app stands: its models, outbox, doors and pages.
HEART = [
    *(
        f"integrations/tests/test_{name}.py"
        for name in ("admin_setup", "admin_initialize", "background", "secrets", "sixth_provider")
    ),
    *(
        f"events/tests/test_{name}.py"
        for name in ("recorder", "drain", "links", "callbacks", "suppression", "admin_deliveries", "admin_statistics")
    ),
]
PURE = {
    "django.db",
    "django.utils.timezone",
    "requests",
    "urllib3",
    "http",
    "socket",
    "time",
    "integrations.models",
    "integrations.http",
}


def sources(folder: str) -> list[Path]:
    return [p for p in (ROOT / folder).rglob("*.py") if "tests" not in p.parts and "migrations" not in p.parts]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def wrong_arrows(room: str, allowed: set[str], names: set[str]) -> set[str]:
    ours = {name for name in names if name.split(".")[0] in ("integrations", "events", "nectorbridge")}
    return {name for name in ours if not any(name == room_ or name.startswith(f"{room_}.") for room_ in allowed)}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    wrong = {
        str(p.relative_to(ROOT)): found for p in sources(room) if (found := wrong_arrows(room, MAY_IMPORT[room], imports(p)))
    }
    assert not wrong


def test_the_check_itself_finds_a_wrong_arrow():
    assert wrong_arrows("integrations", {"integrations"}, {"events.models", "integrations.models"}) == {"events.models"}


def test_provider_modules_are_pure():
    wrong = {}
    for path in sources("integrations/providers"):
        bad = {name for name in imports(path) if any(name == pure or name.startswith(f"{pure}.") for pure in PURE)}
        if bad:
            wrong[path.name] = bad
    assert not wrong


@pytest.mark.journey  # a process of its own
def test_the_reusable_apps_work_without_the_loyalty_room():
    """The heart of their suites, with the room taken out of INSTALLED_APPS; CI runs the whole of them so, on PostgreSQL."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "nectorbridge.testing.without_loyalty"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not journey", *HEART]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
