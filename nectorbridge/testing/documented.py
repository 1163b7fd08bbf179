"""Commands as a page of docs has them, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.testing.installation import Outside


def documented(page: str, name: str) -> str:
    """Return the commands that a page has under a name: a block of sh behind `<!-- run: NAME -->`."""
    found = re.search(rf"<!-- run: {name} -->\n```sh\n(.*?)```", (PROJECT_DIR / "docs" / page).read_text(), re.DOTALL)
    assert found, f"docs/{page} has no commands for {name!r}"
    return found[1]


def run(page: str, name: str, place: Outside, others: dict[str, str] | None = None, **variables: Path | str) -> str:
    """Run a page's commands with this machine's interpreter; return what they printed. Raises AssertionError where one fails.

    `others`: what else is at another place here.
    """
    script = documented(page, name)
    for there, here in {".venv/bin/python": f'"{sys.executable}"', **(others or {})}.items():
        script = script.replace(there, here)
    environment = {**place.environment, **{key: str(value) for key, value in variables.items()}}
    command = ["bash", "-eu", "-c", script]
    done = subprocess.run(  # noqa: S603 - our own page
        command, cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    print(f"$ {documented(page, name)}{done.stdout}{done.stderr}")  # noqa: T201 - pytest -s: the page's record
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
