"""What a large drain has freed goes back to the machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from events import drain, memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and needs glibc")


def own_megabytes() -> float:
    """Return this process's own resident memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def test_what_is_free_below_what_is_in_use_is_given_back():
    blocks = [bytes([number % 256]) * 4096 for number in range(20_000)]
    last = blocks.pop()
    full = own_megabytes()
    del blocks
    memory.give_back()
    assert own_megabytes() < full - 40 and last


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_libc", None)
    assert memory.give_back() is False


@pytest.mark.django_db
@pytest.mark.parametrize(("handled", "times"), [(drain.LARGE, 1), (drain.LARGE - 1, 0)])
def test_a_large_drain_gives_back_and_a_small_one_does_not(definition, monkeypatch, handled, times):
    given = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    monkeypatch.setattr(drain, "_sent_by", lambda _work: handled)
    assert drain.drain(definition.integration_id) == handled and len(given) == times
