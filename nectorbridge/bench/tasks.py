"""What django-q2 runs on the baselines' side."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from django.conf import settings

TIMEOUT_SECONDS = 10.0


def diary(name: str) -> Path:
    """Return the file to which tasks append their times."""
    return Path(settings.DATA_DIR) / name


def _write(name: str, *words: object) -> None:
    """Append one line. A short append is one write, which other processes cannot divide."""
    with diary(name).open("ab", buffering=0) as file:
        file.write((" ".join(map(str, words)) + "\n").encode())


def read_diary(name: str) -> Iterator[list[str]]:
    """Yield the words of each whole line."""
    text = diary(name).read_text() if diary(name).exists() else ""
    yield from (line.split() for line in text.splitlines(keepends=True) if line.endswith("\n"))


def note_start(number: int) -> None:
    """Note when this task began: the bare doorbell."""
    _write("bell", number, repr(time.time()))


def post_one(url: str, event: dict[str, Any], headers: dict[str, str]) -> None:
    """Send one event in one request: django-q2 with one task per event."""
    began = time.time()
    answer = requests.post(url, data=json.dumps({"d": [event]}), headers=headers, timeout=TIMEOUT_SECONDS)
    answer.raise_for_status()
    _write("posts", os.getpid(), repr(began), repr(time.time()))
