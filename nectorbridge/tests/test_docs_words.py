"""docs/incidents.md: what it quotes is what the program says."""

from __future__ import annotations

import re
from functools import cache

import pytest

from nectorbridge.processes.tied import PROJECT_DIR

PAGE = (PROJECT_DIR / "docs" / "incidents.md").read_text()
BODY = PAGE.partition("\n## ")[2]
SHORTEST = 4  # a shorter piece between two placeholders proves nothing
SAID = sorted(set(re.findall(r"“([^”]+)”", BODY)))
LOGGED = sorted(
    {words for cell in re.findall(r"log: ([^|;]+(?:; ?restart[^|;]+)?)", BODY) for words in re.findall(r"`([^`]+)`", cell)}
)
METRICS = sorted(set(re.findall(r"`nectorbridge_(\w+)`", BODY)))
SETTINGS = sorted(set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", BODY)))


@cache
def source():
    """Return everything the program could say, literals that go on in a next line joined."""
    folders = ("nectorbridge", "events", "integrations", "templates")
    paths = [p for folder in folders for p in (PROJECT_DIR / folder).rglob("*") if p.suffix in (".py", ".html")]
    text = "\n".join(path.read_text() for path in paths if "tests" not in path.parts)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def is_said(words):
    pieces = [piece.strip() for piece in words.split("...")]
    return any(len(piece) >= SHORTEST for piece in pieces) and all(
        piece in source() for piece in pieces if len(piece) >= SHORTEST
    )


@pytest.mark.parametrize("words", SAID)
def test_a_quoted_word_is_one_of_the_program(words):
    assert is_said(words)


@pytest.mark.parametrize("words", LOGGED)
def test_a_log_line_is_one_of_the_program(words):
    assert is_said(words)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_one_of_the_program(name):
    assert re.search(rf"\b(nectorbridge_)?{name.removesuffix('_total')}(_total)?\b", source())


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_one_of_the_program(name):
    assert name in source()


def test_the_check_itself_finds_what_nothing_says():
    assert not is_said("The moon is " + "in the way")
    assert len(SAID) > 25 and len(LOGGED) > 12 and len(METRICS) > 4
