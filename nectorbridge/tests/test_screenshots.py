"""The pictures of README and docs: each is one that `manage.py screenshots` takes."""

from __future__ import annotations

import re
import struct

import pytest
from django.core.management import CommandError, call_command

from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.screenshots.shots import FOLDER, SHOTS, WIDTH

PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+\.png)\)")


def named() -> set[str]:
    """Return the pictures that README and docs name, by their file in the project."""
    found = set()
    for page in [*PROJECT_DIR.glob("*.md"), *(PROJECT_DIR / "docs").rglob("*.md")]:
        for picture in PICTURE.findall(page.read_text()):
            found.add(str((page.parent / picture).resolve().relative_to(PROJECT_DIR)))
    return found


def size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_every_picture_that_readme_and_docs_name_is_one_that_the_command_takes():
    assert named() and named() <= {str(FOLDER / f"{shot.name}.png") for shot in SHOTS}


def test_every_picture_that_the_command_takes_is_there_in_its_size_and_no_other():
    assert {file.name for file in (PROJECT_DIR / FOLDER).iterdir()} == {f"{shot.name}.png" for shot in SHOTS}
    for shot in SHOTS:
        assert size(shot.file.read_bytes()) == (WIDTH, shot.height), shot.name


def test_a_machine_without_a_browser_is_told(monkeypatch):
    monkeypatch.setattr("nectorbridge.management.commands.screenshots.browser_missing", lambda: "Chromium is not installed")
    with pytest.raises(CommandError, match=r"No pictures can be taken: Chromium is not installed\."):
        call_command("screenshots")


def test_a_name_that_there_is_not_is_told_with_those_that_there_are(monkeypatch):
    monkeypatch.setattr("nectorbridge.management.commands.screenshots.browser_missing", str)
    with pytest.raises(CommandError, match=r"There is no picture of this name: nowhere\. There are: dashboard"):
        call_command("screenshots", "nowhere")
