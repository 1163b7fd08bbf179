"""Visits to tracked links: those of one moment are looked up and written down together.

However many threads wait, a batch costs one look-up, one question about consent for each merchant whose pictures were opened,
and one insert. Nobody's visit keeps another's from being answered, and what cannot be written down keeps nobody from going on.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError

from events import engaging
from events.desk import Desk
from events.host import Consent, get_host
from events.sql import id_list, rows_of
from events.states import EngagementKind
from integrations.hygiene import about
from integrations.models import OpenTracking
from integrations.providers import channel_of

logger = logging.getLogger(__name__)
WEB_SCHEMES = ("http://", "https://")
SOURCES = {EngagementKind.CLICK: "link", EngagementKind.OPEN: "pixel"}
# Said in SQL, since customers wait for it: building the same query through the ORM costs more than the query.
LOOK_UP = """
    SELECT d.id, d.destination, d.integration_id, i.provider, d.merchant_id, m.open_tracking, d.customer_ref
    FROM events_eventdelivery d
    JOIN integrations_integration i ON i.id = d.integration_id
    JOIN integrations_merchant m ON m.id = d.merchant_id
    WHERE d.id {ids}
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at an address of a delivery. `kind` is a click or an open; `at` is aware; a HEAD is not counted."""

    delivery_id: UUID
    kind: EngagementKind
    at: datetime
    is_machine: bool
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What a door must know of the delivery whose token it was given."""

    destination: str
    integration_id: int
    provider: str
    merchant_id: int
    open_tracking: str
    customer_ref: str

    @property
    def leads_on(self) -> bool:
        """Tell whether there is an address that a click can be sent on to."""
        return self.destination.startswith(WEB_SCHEMES) and self.destination.isprintable()


def follow(visits: Sequence[Visit]) -> list[Sent | None]:
    """Return what was sent under each of these addresses, None where nothing was, and note the visits. Raises DatabaseError."""
    condition, ids = id_list({visit.delivery_id for visit in visits})
    rows = rows_of(LOOK_UP.format(ids=condition), [ids])
    found = {pk if isinstance(pk, UUID) else UUID(pk): Sent(*values) for pk, *values in rows}
    wanted = [(visit, sent) for visit in visits if visit.is_counted and (sent := found.get(visit.delivery_id))]
    agreed = _who_agreed([sent for visit, sent in wanted if visit.kind == EngagementKind.OPEN])
    _note([pair for pair in wanted if _may_be_noted(*pair, agreed)])
    return [found.get(visit.delivery_id) for visit in visits]


DESK: Desk[Visit, Sent | None] = Desk(follow)


def _who_agreed(opened: Sequence[Sent]) -> Mapping[Sent, str | None]:
    """Return what those whose pictures were opened say to it; without those of whom it cannot be asked now."""
    groups: defaultdict[tuple[int, str], set[Sent]] = defaultdict(set)
    for sent in opened:
        if sent.open_tracking != OpenTracking.NOBODY:
            groups[sent.merchant_id, channel_of(sent.provider)].add(sent)
    said: dict[Sent, str | None] = {}
    for (merchant_id, channel), group in groups.items():
        try:
            answers = get_host().consents(merchant_id, {sent.customer_ref for sent in group}, channel)
        except DatabaseError:
            continue
        said |= {sent: answers.get(sent.customer_ref) for sent in group}
    return said


def _may_be_noted(visit: Visit, sent: Sent, agreed: Mapping[Sent, str | None]) -> bool:
    """Tell whether this counts: a click that leads on; an open where merchant and customer let it be counted."""
    if visit.kind == EngagementKind.CLICK:
        return sent.leads_on
    if sent not in agreed:
        return False
    said = agreed[sent]
    return said == Consent.SUBSCRIBED or (said != Consent.UNSUBSCRIBED and sent.open_tracking == OpenTracking.EVERYBODY)


def _note(pairs: Sequence[tuple[Visit, Sent]]) -> None:
    """Insert these visits; where that fails, each by itself, and log the one that cannot be."""
    if not pairs:
        return
    came = [engaging.Came(who.delivery_id, who.kind, SOURCES[who.kind], who.at, who.is_machine) for who, _sent in pairs]
    try:
        engaging.write(came)
    except DatabaseError:
        if len(pairs) > 1:
            for pair in pairs:
                _note([pair])
            return
        ((visit, sent),) = pairs
        extra = about(sent.integration_id, delivery=visit.delivery_id)
        logger.exception("An engagement with delivery %s could not be written.", visit.delivery_id, extra=extra)
