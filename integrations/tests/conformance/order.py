"""Who goes where: every delivery once, a customer's events in order, calls within the limits."""

from __future__ import annotations

from collections import defaultdict

from integrations.providers.base import Event, Packed
from integrations.tests.conformance.subject import KNOWN, Subject, records_of


def each_delivery_is_in_one_call_or_skipped_or_left(it: Subject) -> None:
    events = [it.event(f"d{number:04}", number % 40) for number in range(600)]
    events += [it.event(f"n{number}", number, recipient={}) for number in range(5)]
    packed = it.pack(*events, profiles=[it.profile(number) for number in range(0, 40, 2)])
    sent = [delivery for call in packed.calls for delivery in call.delivery_ids]
    assert sent and len(sent) == len(set(sent)) and set(packed.skipped) == {f"n{number}" for number in range(5)}
    assert set(sent) <= {event.delivery_id for event in events} and not set(sent) & set(packed.skipped)
    pushed = [record.customer_ref for call in packed.calls for record in call.records if not record.delivery_id]
    assert len(pushed) == len(set(pushed)) and all(record.delivery_id or record.profile_hash for record in records_of(packed))
    _in_order(packed, [event for event in events if event.recipient])


def _in_order(packed: Packed, events: list[Event]) -> None:
    """Check that one customer's events leave in one call, in order, and none before an older one."""
    queue, homes = defaultdict(list), defaultdict(list)
    for event in events:
        queue[event.customer_ref].append(event.delivery_id)
    whose = {event.delivery_id: event.customer_ref for event in events}
    for call in packed.calls:
        mine = defaultdict(list)
        for delivery in call.delivery_ids:
            mine[whose[delivery]].append(delivery)
        for ref, deliveries in mine.items():
            homes[ref].append(deliveries)
    for ref, calls in homes.items():
        assert len(calls) == 1, f"the events of {ref} could overtake each other"
        assert calls[0] == queue[ref][: len(calls[0])]
    assert homes.keys() == queue.keys(), "somebody's first event is left behind"


def a_profile_travels_before_the_events_of_its_customer(it: Subject) -> None:
    packed = it.pack(*(it.event(f"d{number}", number) for number in range(9)), profiles=[it.profile(n) for n in range(9)])
    for call in packed.calls:
        seen: set[str] = set()
        for record in call.records:
            assert not record.customer_ref or record.customer_ref not in seen
            seen.add(f"ref{record.delivery_id[1:]}" if record.delivery_id else "")


def calls_stay_within_the_limits(it: Subject) -> None:
    limits = it.provider.limits
    assert min(limits.records_per_call, limits.bytes_per_call, limits.calls_in_flight) > 0
    assert 0 < limits.bulk_in_flight <= limits.calls_in_flight and limits.contacts_per_call > 0
    text = {f"text{number}": "ü" * 250 for number in range(9)}
    size, people = 1200, 60
    packed = it.pack(*(it.event(f"d{n}", n % people, text) for n in range(size)), profiles=[it.profile(n) for n in range(people)])
    for call in packed.calls:
        assert 0 < len(call.records) <= max(limits.records_per_call, 2)  # one event may have its profile in the same record
        assert 0 < len(call.delivery_ids) <= limits.records_per_call
        assert len(call.request.body) <= limits.bytes_per_call
    for bulk in (False, True):
        calls = it.push(*(it.profile(number, attributes=KNOWN) for number in range(1100)), bulk=bulk)
        assert sum(len(call.records) for call in calls) == 1100
        most = max(limits.contacts_per_call, 1)
        assert all(len(call.records) <= most and len(call.request.body) <= limits.bytes_per_call for call in calls)
