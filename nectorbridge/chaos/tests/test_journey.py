"""The chaos suite itself, at the size that every change has to pass."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nectorbridge.chaos.servers import Missing, program
from nectorbridge.processes.tied import PROJECT_DIR

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")]
EVENTS, ACTIONS, SECONDS = 2000, 20, 25


@pytest.mark.parametrize(("store", "workers"), [("sqlite", 1), ("postgres", 2)])
def test_under_kills_lost_servers_and_bad_answers_nothing_is_lost_or_stuck_and_every_duplicate_was_known(store, workers):
    if store == "postgres":
        try:
            _ = [program(name) for name in ("initdb", "postgres", "redis-server")]
        except Missing as missing:
            pytest.skip(str(missing))
    size = {"events": EVENTS, "actions": ACTIONS, "seconds": SECONDS, "workers": workers, "seed": 1}
    options = [word for name, value in size.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, str(PROJECT_DIR / "manage.py"), "chaos", "--store", store, *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    data = json.loads(done.stdout)
    assert data["total"]["recorded"] == data["total"]["sent"] == EVENTS and data["violations"] == 0
    assert sum(data["actions"].values()) == ACTIONS and sum(data["faults"].values()) > 0
    assert data["total"]["given_up"] == 0
