"""Threads that write together: each gets its own answer, and one that cannot be written takes nobody along."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import DatabaseError, DataError

from events import desk


def test_who_comes_while_somebody_writes_is_written_with_the_others():
    parts: list[list[int]] = []

    def write(items):
        parts.append(list(items))
        time.sleep(0.05)
        return [item * 2 for item in items]

    counter = desk.Desk(write)
    answers: dict[int, int] = {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: counter.hand_in(n)})) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: n * 2 for n in range(40)}
    assert sorted(item for part in parts for item in part) == list(range(40)) and len(parts) < 20


def test_one_that_cannot_be_written_fails_alone():
    started, go_on = threading.Event(), threading.Event()

    def write(items):
        started.set()
        go_on.wait(5)
        if "bad" in items:
            raise DataError("no")
        return [item.upper() for item in items]

    counter, answers = desk.Desk(write), {}

    def hand_in(word):
        try:
            answers[word] = counter.hand_in(word)
        except DataError as error:
            answers[word] = str(error)

    threads = [threading.Thread(target=hand_in, args=[word]) for word in ("first", "bad", "good", "fine")]
    threads[0].start()
    assert started.wait(5)
    for thread in threads[1:]:
        thread.start()
    while len(counter._waiting) < 3:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == {"first": "FIRST", "bad": "no", "good": "GOOD", "fine": "FINE"}


def test_no_statement_has_more_than_its_share(monkeypatch):
    monkeypatch.setattr(desk, "AT_A_TIME", 2)
    sizes = []

    def write(items):
        sizes.append(len(items))
        return items

    counter = desk.Desk(write)
    for number in range(3):
        counter._waiting.append(desk._Slip(number))
    assert counter.hand_in(3) == 3 and sizes == [2, 2]


def test_whatever_goes_wrong_is_raised_to_each_whose_was_not_written():
    def write(items):
        if len(items) > 1:
            raise RuntimeError("ours")
        if items == ["bad"]:
            raise KeyError("bad")
        return items

    counter = desk.Desk(write)
    bad = desk._Slip("bad")
    counter._waiting.append(bad)
    assert counter.hand_in("good") == "good"
    assert isinstance(bad.error, KeyError) and bad.is_done


def test_what_nobody_wrote_does_not_count_as_written_where_the_writer_is_interrupted():
    def write(items):
        raise SystemExit

    counter = desk.Desk(write)
    other = desk._Slip("of another thread")
    counter._waiting.append(other)
    with pytest.raises(SystemExit):
        counter.hand_in("of the interrupted one")
    assert other.is_done and other.answer is None
    assert isinstance(other.error, DatabaseError), "its sender is asked to send it again"
