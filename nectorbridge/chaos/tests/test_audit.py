"""The audit finds what it looks for: each thing that must not happen, made by hand, is counted, and nothing else is."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nectorbridge.chaos import recording, trouble, world
from nectorbridge.chaos.audit import VIOLATIONS, Books, Row, Try, audit
from nectorbridge.chaos.report import render, result
from nectorbridge.chaos.witness import DELIVERY, NUMBERS, Seen
from nectorbridge.sandbox.faults import KINDS

TIMEOUT = 2.0
A, B, C = "a" * 36, "b" * 36, "c" * 36
ROWS = [Row(key, "wigzo", "c1", f"k{key[0]}", "sent", "", 1) for key in (A, B)] + [Row(C, "wigzo", "c2", "kc", "sent", "", 1)]
TRIES = [Try(A, 1, "accepted", 11.0), Try(B, 2, "accepted", 13.0), Try(C, 3, "accepted", 13.0)]
SEEN = [
    Seen("wigzo", 10.0, 10.5, 11.0, (A,), (A,), ("1",)),
    Seen("wigzo", 12.0, 12.5, 13.0, (B,), (B,), ("2",)),
    Seen("wigzo", 12.0, 12.5, 13.0, (C,), (C,), ("3",)),
]
EXPECTED = {"ka": "wigzo", "kb": "wigzo", "kc": "wigzo"}


def violations(rows=ROWS, tries=TRIES, seen=SEEN, expected=EXPECTED, open_calls=0):
    counts = audit(expected, Books(rows, tries, open_calls), seen, TIMEOUT).total()
    return {name: getattr(counts, name) for name in VIOLATIONS if getattr(counts, name)}


def changed(rows, index, **values):
    return [replace(row, **values) if place == index else row for place, row in enumerate(rows)]


def resent(at, *announced):
    """Return tries and calls in which A arrives a second time at that moment, with uncertain tries written down before."""
    tries = [*TRIES, *(Try(A, 7, "uncertain", moment) for moment in announced)]
    rows = changed(ROWS, 0, attempts=1 + len(announced))
    return {"rows": rows, "tries": tries, "seen": [*SEEN, Seen("wigzo", at - 0.1, at, at + 0.1, (A,), (A,), ("1",))]}


def test_books_that_agree_have_no_violation():
    assert violations() == {}


def test_an_event_of_which_there_is_no_row_or_no_arrival_is_lost():
    assert violations(expected={**EXPECTED, "kd": "wigzo"}) == {"lost": 1}
    assert violations(seen=SEEN[:2]) == {"lost": 1}


@pytest.mark.parametrize("state", ["queued", "sending", "retrying", "held"])
def test_what_is_still_on_its_way_is_stuck(state):
    assert violations(rows=changed(ROWS, 2, status=state), tries=[*TRIES[:2], replace(TRIES[2], outcome="transient")]) == {
        "stuck": 1
    }


def test_a_call_without_an_end_is_stuck():
    assert violations(open_calls=2) == {"stuck": 2}


def test_a_duplicate_must_have_been_written_down_as_uncertain_before_it_happened():
    assert violations(**resent(20.0, 19.0)) == {}
    assert violations(**resent(20.0, 21.0)) == {"unannounced": 1}
    assert violations(**resent(20.0)) == {"unannounced": 1}


def test_what_was_rolled_back_and_an_activity_under_two_ids_are_ghosts():
    stranger = Seen("wigzo", 30.0, 30.1, 30.2, ("d" * 36,), ("d" * 36,), ("9",))
    assert violations(seen=[*SEEN, stranger]) == {"ghosts": 1}
    assert violations(seen=[SEEN[0], replace(SEEN[1], numbers=("1",)), SEEN[2]]) == {"ghosts": 1}


def test_a_customers_events_in_the_wrong_order_are_found_but_for_the_rest_of_one_call():
    late = [replace(SEEN[0], began=20.0, taken_at=20.5, ended=21.0), *SEEN[1:]]
    assert violations(seen=late) == {"disorder": 1}
    shared = [*TRIES[:2], Try(B, 1, "transient", 11.0), TRIES[2]]
    assert violations(seen=late, tries=shared, rows=changed(ROWS, 1, attempts=2)) == {}


def test_a_customer_in_two_calls_at_once_is_found_within_the_time_that_we_wait_for_a_call():
    assert violations(seen=[replace(SEEN[0], ended=12.1), *SEEN[1:]]) == {}, "nobody waits longer than two seconds"
    assert violations(seen=[replace(SEEN[0], began=11.0, taken_at=11.1, ended=12.1), *SEEN[1:]]) == {"overlaps": 1}


def test_every_call_must_have_a_try_in_the_books_and_every_sent_row_one_that_was_accepted():
    assert violations(rows=changed(ROWS, 0, attempts=2)) == {"unbooked": 1}
    assert violations(tries=[replace(TRIES[0], outcome="transient"), *TRIES[1:]]) == {"unbooked": 1}


def test_the_table_names_what_was_violated():
    about = {"store": "sqlite", "workers": 1, "seed": 1, "recorded_seconds": 1.0, "settled_seconds": 1.0}
    data = result(audit(EXPECTED, Books(ROWS, TRIES), SEEN[:2], TIMEOUT), about | {"actions": {"freeze": 1}, "faults": {}})
    text = render(data)
    assert data["verdict"] == "violated" and "violated (1 violations)" in text and f"lost: {C}" in text and "freeze 1" in text


def test_the_first_deck_has_everything_once_and_the_same_seed_the_same_order():
    cards = len(trouble.KILLS) + len(trouble.OTHERS) + len(trouble.ON_POSTGRES)
    decks = [trouble.deck(random.Random(5), True) for _ in range(2)]
    first, second = ([next(deck) for _ in range(60)] for deck in decks)
    assert len(set(first[:cards])) == cards and first == second
    without = trouble.deck(random.Random(5), False)
    assert not any("Postgre" in name or "Redis" in name for name in (next(without) for _ in range(60)))


def test_there_is_a_fault_of_every_kind():
    assert {kind for kind, *_rest in trouble.FAULTS} | {trouble.PARTIAL[0]} == set(KINDS)


def test_batches_are_the_same_each_time_and_leave_no_number_out():
    batches = list(recording.batches(1000, 3))
    assert batches == list(recording.batches(1000, 3)) != list(recording.batches(1000, 4))
    assert [number for first, last in batches for number in range(first, last)] == list(range(1000))


def test_an_activity_is_the_same_each_time_it_is_asked_for():
    place = world.World([world.Shop(1, 1, "wigzo", 9), world.Shop(2, 2, "clevertap", 9)], seed=4)
    first, again = (replace(place.activity(77), occurred_at=datetime(2026, 1, 1, tzinfo=UTC)) for _ in range(2))
    assert first == again and first.properties[world.NUMBER] == "77" and first.key == "chaos:77"


def test_ids_and_numbers_are_read_from_any_body_whatever_its_shape():
    body = b'[{"a":{"nector_delivery_id": "%s","transaction_id":"5"}}]' % A.encode()
    assert DELIVERY.findall(body) == [A.encode()] and NUMBERS.findall(body) == [b"5"]
