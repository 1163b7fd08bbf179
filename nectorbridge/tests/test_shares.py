"""A run in several processes: journeys are one share and begin first, those in the browser before those that are timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = """
import json, os, pytest

@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    worker = getattr(session.config, "workerinput", None)
    if worker:
        names = [item.get_closest_marker("xdist_group").args[0] for item in session.items]
        with open(os.environ["SHARES_TO"] + worker["workerid"], "w") as file:
            files = list(dict.fromkeys(item.path.name for item in session.items))
            json.dump({"shares": list(dict.fromkeys(names)), "files": files, "nice": os.nice(0)}, file)

def pytest_runtest_protocol(item):
    return True  # none of them is run
"""


def test_journeys_begin_first_and_in_one_process_and_the_others_give_way(tmp_path):
    (tmp_path / "noting.py").write_text(PLUGIN)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "SHARES_TO": f"{tmp_path}/"}
    files = [f"nectorbridge/tests/test_{name}.py" for name in ("headers", "outage", "browser_keyboard", "pages")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "noting", "-n", "2", *files]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("gw0", "gw1"))

    assert first["shares"] == second["shares"] == ["journeys", files[0], files[3]]
    assert first["files"] == [Path(files[place]).name for place in (2, 1, 0, 3)]
    assert first["nice"] < second["nice"]
