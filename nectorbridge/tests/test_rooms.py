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


@pytest.mark.journey  # a whole suite in a process of its own
def test_the_reusable_apps_work_without_the_loyalty_room(tmp_path):
    """Their whole suites, in a process of their own, with the room taken out of INSTALLED_APPS."""
    settings = tmp_path / "without_loyalty.py"
    settings.write_text(
        "from nectorbridge.settings import *\n"
        "INSTALLED_APPS = [a for a in INSTALLED_APPS if a not in ('nectorbridge.loyalty', 'nectorbridge')]\n"
        "ROOT_URLCONF = 'without_loyalty_urls'\n"
        "UNFOLD = {}\nNECTORBRIDGE_HOST = ''\n"
        f"DATABASES['default']['TEST'] = {{'NAME': {str(tmp_path / 'test.sqlite3')!r}}}\n"
        "if 'postgresql' in DATABASES['default']['ENGINE']:\n"
        "    DATABASES['default']['TEST'] = {'NAME': 'test_without_loyalty'}\n"
    )
    (tmp_path / "without_loyalty_urls.py").write_text(
        "from django.contrib import admin\nfrom django.urls import include, path\n"
        "urlpatterns = [path('admin/', admin.site.urls), path('', include('events.urls'))]\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "without_loyalty", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "integrations",
        "events",
        "-m",
        "not journey and not browser",
    ]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
