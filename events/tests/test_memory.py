"""What a large drain has freed goes back to the machine."""

from __future__ import annotations

import sys

import pytest

from events import drain, memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and needs glibc")


def test_what_is_free_below_what_is_in_use_is_given_back():
    blocks = [bytes([number % 256]) * 4096 for number in range(20_000)]
    last = blocks.pop()
    full = memory.resident()
    del blocks
    memory.give_back()
    assert memory.resident() < full - 40 and last


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
