"""The command: what it prints, how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

MANAGE = Path(__file__).resolve().parents[3] / "manage.py"


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(MANAGE), "sandbox", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_busy_port_is_one_clear_line() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]

        with command("--port", str(port)) as process:
            out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    assert err == f"Port {port} is in use; stop the other process or pass --port\n"


def test_a_port_that_is_none_is_one_clear_line() -> None:
    with command("--port", "70000") as process:
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (1, "", "70000 is no port; pass one from 0 to 65535\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_promptly(number: signal.Signals) -> None:
    with command("--port", "0", "--discard", "Old Event") as process:
        # given a running sandbox with a client that stays connected
        assert process.stdout is not None
        url = re.search(r"http://\S+", process.stdout.readline()).group().rstrip("/")  # type: ignore[union-attr]
        session = requests.Session()
        assert session.get(f"{url}/_sandbox/summary.json", timeout=5).status_code == 200

        # when it is told to stop
        started = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)

    # then it does, without a word
    assert time.monotonic() - started < 2
    assert (process.returncode, out, err) == (0, "", "")
