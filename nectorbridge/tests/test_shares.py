"""A run in several processes: journeys that are timed are one share, and begin; what drives a browser begins beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = """
import json, os, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    with open(os.environ["NOTES"] + item.config.workerinput["workerid"], "a") as file:
        file.write(json.dumps([item.path.name, os.nice(0)]) + "\\n")
    return True  # none of them is run
"""


def test_journeys_are_in_one_process_and_the_others_give_way(tmp_path):
    (tmp_path / "noting.py").write_text(PLUGIN)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NOTES": f"{tmp_path}/"}
    names = ("headers", "outage", "canaries", "browser_keyboard", "pages")
    files = [f"nectorbridge/tests/test_{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "noting", "-n", "2", *files]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    processes = [[json.loads(line) for line in notes.read_text().splitlines()] for notes in tmp_path.glob("gw?")]
    timed = {"test_outage.py", "test_canaries.py"}
    first, second = sorted(processes, key=lambda lines: lines[0][0] not in timed)

    assert set(list(dict.fromkeys(name for name, _ in first))[:2]) == timed
    assert second[0][0] == "test_browser_keyboard.py" and not timed & {name for name, _ in second}
    assert max(nice for _, nice in first) < min(nice for _, nice in second)
