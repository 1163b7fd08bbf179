"""The pytest plugin: a closed network, cheap passwords, shares for `-n`, and no skip where nothing may be skipped."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

NO_SKIPS = "NECTORBRIDGE_NO_SKIPS"  # set in CI: a skipped test fails the run

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright runs an event loop in the test's thread

_connect = socket.socket.connect


def _guarded(self: socket.socket, address: Any) -> Any:
    """Connect to this machine only: nothing in the product or its tests needs the internet."""
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(str(address[0])):
        raise ConnectionRefusedError("tests reach loopback addresses only")
    return _connect(self, address)


def _is_local(host: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def pytest_configure(config: pytest.Config) -> None:
    """Close the network, and hash passwords cheaply."""
    from django.conf import settings

    socket.socket.connect = _guarded  # type: ignore[method-assign,assignment]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.PROVIDER_BASE_URLS = dict.fromkeys(settings.PROVIDER_BASE_URLS, "")


# A run in several processes (`-n`): what starts processes of its own waits more than it works, and is timed. So files with such
# tests go one after the other, in one process, and the others give way to it: a file at a time, first those that drive a browser,
# which take longest and which no clock hurries.
ALONE = "journeys"
TIMED, BROWSER, ALL_ELSE = 2, 1, 0  # the higher ones begin
GIVES_WAY = 5  # added to the niceness
HAS_BEGUN = pytest.StashKey[bool]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what hands out the shares, unless another way was asked for (`--dist`)."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Shares(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return ALONE if _turn(config.rootpath / file) == TIMED else file

    config.option.loadscopereorder = False
    return Shares(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have one of several processes begin with the journeys, and the next with the browser."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.path), reverse=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Have a process give way that begins with anything else."""
    if hasattr(item.config, "workerinput") and HAS_BEGUN not in item.config.stash:
        item.config.stash[HAS_BEGUN] = True
        os.nice(0 if _turn(item.path) == TIMED else GIVES_WAY)


@cache
def _turn(file: Path) -> int:
    """Return what a file's tests are: in a browser, journeys without one, or anything else."""
    text = file.read_text()
    if re.search(r"\bMARKS\b", text):
        return BROWSER
    return TIMED if "mark.journey" in text else ALL_ELSE


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """End the language of the last request, which Django leaves with the thread."""
    yield
    from django.utils import translation

    translation.deactivate()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep tests from ringing for a cluster that may really run; return the integrations that were rung for."""
    from events import bell

    rings: list[int] = []

    def note(task: str, integration_id: int, **_options: Any) -> None:
        if task == bell.DRAIN_TASK:
            rings.append(integration_id)

    monkeypatch.setattr(bell, "async_task", note)
    return rings


@pytest.fixture
def use_keys(settings: Any) -> Iterator[Callable[..., None]]:
    """Return what sets FERNET_KEYS for real: encrypted fields keep theirs."""
    from integrations.rotation import columns

    def use(*keys: str) -> None:
        settings.FERNET_KEYS = list(keys)
        for column in columns():
            for name in ("keys", "fernet_keys", "fernet"):
                column.field.__dict__.pop(name, None)

    before = list(settings.FERNET_KEYS)
    yield use
    use(*before)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep tests from asking a real cluster for a check; return the integrations whose check was asked for."""
    from integrations import background

    checks: list[int] = []
    monkeypatch.setattr(background, "async_task", lambda _task, integration_id, **_options: checks.append(integration_id))
    return checks


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Keep tests from asking a real cluster for mail; return the notices, and their tries so far, that were asked for."""
    from events import notices

    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(notices, "async_task", lambda _task, notice_id, tries, **_options: asked.append((notice_id, tries)))
    return asked


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which something was skipped, where that is not allowed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(NO_SKIPS) and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        reporter.write_line(f"{NO_SKIPS} is set: nothing may be skipped here.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
