"""What leaves next in a stream: contacts that must be known first, then events, one customer's in one call at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.utils import timezone

from events import claims, contacts
from events.lanes import Lane, Lanes
from events.packing import event_of, pack
from events.sender import Sender
from integrations.hygiene import about
from integrations.providers.base import Call, Packed, Profile

logger = logging.getLogger(__name__)


@dataclass
class Boarding:
    """Calls to commit, the profiles that travel in them, and the customers of each call (by its `id()`)."""

    calls: list[Call] = field(default_factory=list)
    profiles: dict[str, Profile] = field(default_factory=dict)
    refs: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def add(self, call: Call, refs: Sequence[str]) -> None:
        """Take one call along."""
        self.calls.append(call)
        self.refs[id(call)] = tuple(refs)


def board(sender: Sender, lanes: Lanes, room: int, owner: str) -> Boarding:
    """Return at most `room` calls of customers who are ready."""
    boarding = Boarding()
    ready = lanes.ready(room * sender.contract.limits.records_per_call)
    if sender.contract.identify_first:
        ready = _board_contacts(sender, boarding, lanes, ready, owner)
    _board_events(sender, boarding, lanes, ready, owner)
    del boarding.calls[room:]
    return boarding


def _board_contacts(sender: Sender, boarding: Boarding, lanes: Lanes, ready: Sequence[Lane], owner: str) -> list[Lane]:
    """Take along the contacts that the provider does not know as they are. Returns the lanes whose events may go."""
    # One refused as a whole before is asked about again: an event must not leave for somebody whom the provider does not know.
    news = {lane.ref: replace(lane.news, refused=_without_all(lane.news)) for lane in ready if lane.news}
    packed = _pack_contacts(sender, news, lanes, owner)
    first = set(packed.skipped)
    for call in packed.calls:
        refs = sorted({record.customer_ref for record in call.records})
        if call.is_bulk:  # an update of someone it knows: that waits for its turn, the event does not
            contacts.mark_dirty(sender.integration, refs)
        else:
            boarding.add(call, refs)
            boarding.profiles.update((ref, news[ref]) for ref in refs)
            first.update(refs)
    going = [lane for lane in ready if lane.ref not in first and lane.waiting]
    for lane in going:
        lane.news = None
    return going


def _without_all(profile: Profile) -> tuple[str, ...]:
    """Return the attributes that were refused, one by one."""
    return tuple(name for name in profile.refused if name != contacts.ALL_ATTRIBUTES)


def _pack_contacts(sender: Sender, news: dict[str, Profile], lanes: Lanes, owner: str) -> Packed:
    """Pack contacts; where our own code breaks on one, what waits for it fails as internal."""
    if not news:
        return Packed(())
    try:
        return sender.contract.pack_contacts(sender.account, list(news.values()), timezone.now())
    except Exception:  # the worker's edge: one contact that cannot be packed must not stop the queue
        logger.exception("Contacts for %s could not be packed.", sender.contract.slug, extra=about(sender.integration.pk))
    calls: list[Call] = []
    broken: dict[str, str] = {}
    for ref, profile in news.items():
        try:
            calls += sender.contract.pack_contacts(sender.account, [profile], timezone.now()).calls
        except Exception:
            ids = [row.id for row in lanes[ref].waiting]  # not one of them may leave for somebody whom the provider does not know
            for key in ids:
                claims.fail(key, owner)
            lanes.strike(ids)
            broken[ref] = "internal"
    return Packed(tuple(calls), broken)


def _board_events(sender: Sender, boarding: Boarding, lanes: Lanes, ready: Sequence[Lane], owner: str) -> None:
    """Take along events: the first of each customer, or all of them where a call takes many."""
    is_single = sender.contract.limits.records_per_call == 1
    rows = [(lane, row) for lane in ready for row in (list(lane.waiting)[:1] if is_single else lane.waiting)]
    if not rows:
        return
    profiles = {lane.ref: lane.news for lane in ready if lane.news}
    events = [event_of(row, lane.remote_id) for lane, row in rows]
    packed = pack(sender.contract, sender.account, events, profiles, owner, timezone.now())
    lanes.strike(packed.skipped)
    refs = {row.id: lane.ref for lane, row in rows}
    boarding.profiles.update(profiles)
    for call in packed.calls:
        boarding.add(call, sorted({refs[key] for key in call.delivery_ids}))
