"""Who should not be written to, and when: what recording must look up before a delivery may wait to be sent.

Every decision is the row's own state and reason. Each question is asked once for all rows of a recording, and only where an
event, its merchant or the activity wants it: most rows are never looked at here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from events.activity import Activity
from events.holdout import is_held_out
from events.host import CHANNELS, Consent, get_host
from events.models import EventDelivery
from events.routes import Route
from events.sql import in_parts
from events.states import ConsentPolicy, EngagementKind, QuietPolicy, Reason, State
from events.suppression import who_is_suppressed

REFS_AT_A_TIME = 500
LOCKED_ONE_BY_ONE = 20  # customers; of more, recordings of one merchant wait for each other
NOT_SENT = (State.SKIPPED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivery that would wait to be sent, not yet written, and what it is made of."""

    row: EventDelivery
    route: Route
    activity: Activity

    @property
    def must_be_looked_at(self) -> bool:
        """Tell whether its activity does not say enough to send it."""
        if self.activity.is_test:
            return False
        policy = self.route.policy
        return (
            policy.needs_a_look or bool(self.activity.subject) or (self.activity.consent is None and not policy.is_transactional)
        )

    @property
    def is_held_out(self) -> bool:
        """Tell whether its customer belongs to the share that this event is not sent to. Tests go to anybody."""
        route = self.route
        if not route.policy.holdout or self.activity.is_test:
            return False
        return is_held_out(route.definition_id, self.row.customer_ref, route.policy.holdout)

    @property
    def is_waiting(self) -> bool:
        """Tell whether nothing has spoken against it yet."""
        return self.row.status != State.SKIPPED

    def skip(self, reason: Reason, detail: str = "") -> None:
        """Do not send it."""
        row = self.row
        row.status, row.reason, row.detail, row.next_attempt_at = State.SKIPPED, reason, detail[:300], None


def guard(candidates: Iterable[Candidate]) -> None:
    """Skip or delay those of these deliveries that must not be sent, or not now. Call it in the recording's transaction.

    Who is held out comes last: whoever else would not be sent to is in neither of the groups that are compared.
    """
    candidates = list(candidates)
    looked_at = [candidate for candidate in candidates if candidate.is_waiting and candidate.must_be_looked_at]
    if looked_at:
        for look in (_suppressed, _consent, _duplicates, _frequency, _quiet):
            look([candidate for candidate in looked_at if candidate.is_waiting])
    for candidate in candidates:
        if candidate.is_waiting and candidate.is_held_out:
            candidate.skip(Reason.HOLDOUT)


def _by_merchant(candidates: Sequence[Candidate]) -> Iterator[tuple[int, list[Candidate], list[str]]]:
    """Yield each merchant with its deliveries and their customers."""
    found: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        found[candidate.route.merchant_id].append(candidate)
    for merchant_id, mine in found.items():
        yield merchant_id, mine, sorted({candidate.row.customer_ref for candidate in mine})


# --- Suppression and consent -----------------------------------------------------------------------------------------------
def _suppressed(candidates: Sequence[Candidate]) -> None:
    """Skip what would go to who complained or, unless it is no marketing, unsubscribed."""
    for merchant_id, mine, refs in _by_merchant([c for c in candidates if c.route.policy.has_suppressed]):
        kinds = who_is_suppressed(merchant_id, refs)
        for candidate in mine:
            kind = kinds.get(candidate.row.customer_ref)
            if kind == EngagementKind.COMPLAINT or (kind and not candidate.route.policy.is_transactional):
                candidate.skip(Reason.SUPPRESSED)


def _consent(candidates: Sequence[Candidate]) -> None:
    """Skip what would go to who said no; put what they said along where the event wants that."""
    asked: dict[tuple[int, str], set[str]] = defaultdict(set)
    for candidate in candidates:
        if candidate.activity.consent is None and not candidate.route.policy.is_transactional:
            flags = candidate.route.policy.consent == ConsentPolicy.FLAG
            for channel in CHANNELS if flags else [candidate.route.channel]:
                asked[candidate.route.merchant_id, channel].add(candidate.row.customer_ref)
    host = get_host()
    said: dict[tuple[int, str], dict[str, str]] = {where: {} for where in asked}
    for (merchant_id, channel), refs in asked.items():
        for part in in_parts(refs, REFS_AT_A_TIME):
            said[merchant_id, channel].update(host.consents(merchant_id, part, channel))
    for candidate in candidates:
        _judge_consent(candidate, said)


def _judge_consent(candidate: Candidate, said: Mapping[tuple[int, str], Mapping[str, str]]) -> None:
    """Apply one event's policy to what its customer said."""
    policy, merchant_id, ref = candidate.route.policy, candidate.route.merchant_id, candidate.row.customer_ref
    if policy.is_transactional:
        return
    if policy.consent == ConsentPolicy.FLAG:
        own = candidate.activity.consent
        for channel in CHANNELS:
            answer = own.get(channel) if own is not None else said[merchant_id, channel].get(ref)
            candidate.row.payload[f"user_consent_{channel}"] = str(answer or Consent.UNKNOWN)
    elif candidate.activity.consent is None:
        channel = candidate.route.channel
        if said[merchant_id, channel].get(ref) == Consent.UNSUBSCRIBED:
            candidate.skip(Reason.NO_CONSENT)


# --- What was sent before ----------------------------------------------------------------------------------------------------
def _duplicates(candidates: Sequence[Candidate]) -> None:
    """Skip what tells a customer once more what the same event has told, or is about to."""
    found: dict[int, dict[tuple[str, str], list[Candidate]]] = defaultdict(dict)
    for candidate in candidates:
        if subject := candidate.activity.subject:
            same = found[candidate.route.definition_id].setdefault((candidate.row.customer_ref, subject), [])
            same.append(candidate)
    for definition_id, subjects in found.items():
        told: set[tuple[str, str]] = set()
        rows = EventDelivery.objects.filter(definition=definition_id).exclude(subject="").exclude(status__in=NOT_SENT)
        keys = {same[0].row.idempotency_key for same in subjects.values()}
        for part in in_parts((ref for ref, _subject in subjects), REFS_AT_A_TIME):
            mine = rows.filter(customer_ref__in=part, subject__in={subject for _ref, subject in subjects})
            told |= set(mine.exclude(idempotency_key__in=keys).values_list("customer_ref", "subject"))
        for whose, same in subjects.items():
            for candidate in same if whose in told else same[1:]:
                candidate.skip(Reason.DUPLICATE)


def _frequency(candidates: Sequence[Candidate]) -> None:
    """Skip what would be one too many for its customer: of this event, or of all events of the merchant."""
    for merchant_id, mine, refs in _by_merchant([c for c in candidates if c.route.policy.caps]):
        _one_at_a_time(merchant_id, refs)
        now = timezone.now()
        since = now - max(within for c in mine for _own, _most, within in c.route.policy.caps)
        past = _Past(merchant_id, refs, since)
        for candidate in mine:
            if past.is_enough_for(candidate, now):
                candidate.skip(Reason.FREQUENCY_CAP)
            elif not candidate.is_held_out:  # that is no message
                past.add(candidate.row)


class _Past:
    """What these customers were sent, or will be, by the time at which it was recorded.

    Of all events of a merchant an activity counts once, over however many providers it went.
    """

    def __init__(self, merchant_id: int, refs: Sequence[str], since: datetime) -> None:
        """Look it up."""
        self.rows: dict[str, list[tuple[int, str, datetime]]] = defaultdict(list)
        sent = EventDelivery.objects.filter(merchant=merchant_id, created_at__gte=since, is_test=False, is_backfill=False)
        sent = sent.exclude(status__in=NOT_SENT).order_by()
        for part in in_parts(refs, REFS_AT_A_TIME):
            for ref, *rest in sent.filter(customer_ref__in=part).values_list("customer_ref", *self.columns):
                self._note(ref, *rest)

    columns = ("definition_id", "idempotency_key", "created_at")

    def add(self, row: EventDelivery) -> None:
        """Count one that is about to be written."""
        self._note(row.customer_ref, *(getattr(row, name) for name in self.columns))

    def _note(self, ref: str, definition_id: int, key: str, created_at: datetime) -> None:
        self.rows[ref].append((definition_id, key.partition(":")[2], created_at))

    def is_enough_for(self, candidate: Candidate, now: datetime) -> bool:
        """Tell whether this customer was written to often enough, this very activity aside."""
        activity = candidate.row.idempotency_key.partition(":")[2]
        for own, most, within in candidate.route.policy.caps:
            others = {
                key
                for definition_id, key, created_at in self.rows[candidate.row.customer_ref]
                if created_at > now - within and key != activity and (not own or definition_id == candidate.route.definition_id)
            }
            if len(others) >= most:
                return True
        return False


def _one_at_a_time(merchant_id: int, refs: Sequence[str]) -> None:
    """Have recordings for the same customers wait for each other, so that two do not both find room for one. SQLite's do."""
    if connection.vendor != "postgresql":
        return
    names = refs if len(refs) <= LOCKED_ONE_BY_ONE else [""]
    with connection.cursor() as cursor:
        # A merchant's own lock is shared by who names customers, and alone with who has too many to name.
        cursor.execute(f"SELECT pg_advisory_xact_lock{'_shared' if names is refs else ''}(%s)", [_lock(merchant_id, "")])
        for name in sorted(_lock(merchant_id, ref) for ref in names if ref):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [name])


def _lock(merchant_id: int, ref: str) -> int:
    """Return the name of a lock: 63 bits."""
    digest = hashlib.blake2b(f"cap:{merchant_id}:{ref}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


# --- When --------------------------------------------------------------------------------------------------------------------
def _quiet(candidates: Sequence[Candidate]) -> None:
    """Delay what happens in quiet hours, or skip it where it would be worth nothing afterwards."""
    now = timezone.now()
    for candidate in candidates:
        end = candidate.route.policy.quiet_until_after(now)
        if end is None:
            continue
        row = candidate.row
        if candidate.route.policy.quiet == QuietPolicy.SKIP:
            candidate.skip(Reason.QUIET_HOURS)
        elif row.expires_at is not None and row.expires_at <= end:
            candidate.skip(Reason.QUIET_HOURS, _("After the quiet hours it would not have been worth sending any more."))
        else:
            row.next_attempt_at, row.reason = end, Reason.QUIET_HOURS
