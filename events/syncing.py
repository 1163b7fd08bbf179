"""Keeping a provider's profiles as the host knows them: all customers once, and from then on those who change.

One worker at a time pushes for an integration, under a lease; the sweep rings for what is due, so a crash only costs time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from events import bell, breaker, contacts
from events.drain import look_again
from events.host import get_host
from events.models import Contact, ContactSync, SyncState
from events.pause import needs_attention
from events.pushing import Push, Pushed
from events.stamping import is_left_alone
from events.turns import LONGEST_SECONDS, place
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Status
from integrations.providers.base import Limits, Provider
from integrations.signals import initialized
from integrations.verification import unreadable

logger = logging.getLogger(__name__)
OVERLAP = timedelta(seconds=60)  # a change is dated before its transaction is committed: look again at the last minute
LOOK_BACK = timedelta(minutes=5)  # an integration that was not looked at for longer is looked at in any case
AGAIN_AFTER = timedelta(seconds=60)
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 300.0
CHANGES_PER_LOOK = 500
PATIENCE = 3  # tries of a page of which only some get through, and of a whole one before it is taken apart
MOST_PATIENCE = 2 * PATIENCE + 1  # tries before somebody who is alone in a page is left for later
SMALL_PAGE, LARGE_PAGE = 100, 500


def is_pushed(contract: Provider) -> bool:
    """Tell whether profiles go to this provider apart from events."""
    return contract.holds_attributes or contract.fills_list


# --- Starting and stopping -----------------------------------------------------------------------------------------------
def start_sync(integration: Integration, is_first: bool = False) -> ContactSync:
    """Push all customers from the beginning; one that is running starts anew. Returns the run."""
    now = timezone.now()
    fresh: dict[str, Any] = {
        "is_first": is_first,
        "total": get_host().count_customers(integration.merchant_id),
        "started_at": now,
        "next_at": now,
    }
    counters = dict.fromkeys(("handled", "pushed", "unchanged", "without_identity", "refused", "failures"), 0)
    running = ContactSync.objects.filter(integration=integration, state=SyncState.RUNNING)
    try:
        with transaction.atomic():
            if not running.update(**fresh, **counters, cursor="", message=""):
                ContactSync.objects.create(integration=integration, **fresh)
    except IntegrityError:
        pass  # somebody else started it in this very moment
    Integration.objects.filter(pk=integration.pk).update(profiles_seen_until=now - OVERLAP)
    transaction.on_commit(lambda: bell.ring_for_push(integration.pk), robust=True)
    return running.get()


def stop_sync(sync: ContactSync) -> bool:
    """Stop a run where it is. Returns False where it is over already."""
    running = ContactSync.objects.filter(pk=sync.pk, state=SyncState.RUNNING)
    return bool(running.update(state=SyncState.STOPPED, ended_at=timezone.now(), message=gettext_noop("Stopped by hand.")))


@receiver(initialized, dispatch_uid="push_after_connecting")
def on_initialized(integration: Integration, **_kwargs: Any) -> None:
    """Fill the provider's list, where it has one; from now on look at who changes."""
    if integration.contract.fills_list:
        start_sync(integration, is_first=True)
    elif is_pushed(integration.contract) and integration.profiles_seen_until is None:
        Integration.objects.filter(pk=integration.pk).update(profiles_seen_until=timezone.now() - OVERLAP)


# --- The work ------------------------------------------------------------------------------------------------------------
def push_contacts(integration_id: int, token: int | None = None) -> int:
    """Push what is due for one integration. Safe to run twice or for nothing. Returns how many contacts were looked at.

    `token`: of the bell that asks for it. Where another push has come since, it does nothing.
    """
    integration = Integration.objects.select_related("merchant").filter(pk=integration_id).first()
    if integration is None or (token is not None and integration.push_token != token):
        return 0
    bell.clear_push(integration_id)
    if not _may_push(integration) or not _lease(integration_id):
        return 0
    try:
        account = integration.account()
        refused = integration.contract.refuse_settings(account)
        if refused is not None:
            needs_attention(integration, refused.reason, refused.fix)
            return 0
        push = Push(integration, account)
        with place(integration, is_push=True) as push.place:
            looked_at = _pushed_by(push) if push.place else 0
        if push.place:
            look_again(integration_id)
    except SecretUnreadable:
        checked = unreadable()
        needs_attention(integration, checked.reason, checked.fix)
        return 0
    finally:
        Integration.objects.filter(pk=integration_id).update(push_leased_until=None)
    if (
        looked_at and not push.stopped and has_work(integration_id, timezone.now())
    ):  # not after an error: then the sweep rings, and nothing spins
        bell.ring_for_push(integration_id)
    return looked_at


def _may_push(integration: Integration) -> bool:
    """Tell whether profiles may leave over this integration now."""
    able = integration.enabled and integration.status == Status.ACTIVE and is_pushed(integration.contract)
    return able and not is_left_alone(integration, is_probe=True)


def _pushed_by(push: Push) -> int:
    """Push what is due; through a half-open breaker call by call, as long as it stays so."""
    if breaker.state(push.integration) is breaker.State.CLOSED:
        return Pushing(push.integration, push).run()
    with breaker.probe(push.integration) as is_ours, push.probing():
        return Pushing(push.integration, push).run() if is_ours else 0


def _lease(integration_id: int) -> bool:
    """Take or renew the right to push for this integration; False where another worker has it."""
    now = timezone.now()
    free = Integration.objects.filter(Q(push_leased_until__isnull=True) | Q(push_leased_until__lt=now), pk=integration_id)
    return bool(free.update(push_leased_until=now + timedelta(seconds=LONGEST_SECONDS + settings.DELIVERY_LEASE_SECONDS)))


class Pushing:
    """One turn of pushing: contacts that failed before, customers who changed, and a page of all of them, in turns."""

    def __init__(self, integration: Integration, push: Push) -> None:
        """Push for this integration."""
        self.integration, self.push, self.host = integration, push, get_host()
        self.looked_at = 0

    def run(self) -> int:
        """Work until nothing is due or the time is over. Returns how many contacts were looked at."""
        steps: tuple[Callable[[], bool], ...] = (self.failed_before, self.changed, self.page)
        while not self.push.is_over():
            did = [step() for step in steps if not self.push.is_over()]  # each has its turn
            if not any(did):
                break
        return self.looked_at

    def failed_before(self) -> bool:
        """Push contacts that are due again. Returns whether there were any."""
        due = Contact.objects.filter(integration=self.integration, dirty_at__lte=timezone.now()).order_by("dirty_at")
        refs = list(due.values_list("customer_ref", flat=True)[:CHANGES_PER_LOOK])
        if refs:
            found = self.host.profiles(self.integration.merchant_id, refs=refs)
            contacts.forget(self.integration, set(refs) - {item.ref for item in found})
            self._later(self.push.run(found))
            self.looked_at += len(refs)
        return bool(refs)

    def changed(self) -> bool:
        """Push the customers who changed since the last look. Returns whether there may be more right now."""
        since, now = self.integration.profiles_seen_until, timezone.now()
        if not is_look_due(since, now) or _first_sync(self.integration.pk):
            return False
        assert since is not None
        refs, reached = self.host.changed_since(self.integration.merchant_id, since, CHANGES_PER_LOOK)
        if refs:
            self._later(self.push.run(self.host.profiles(self.integration.merchant_id, refs=refs)))
            self.looked_at += len(refs)
        self.integration.profiles_seen_until = reached or now - OVERLAP
        Integration.objects.filter(pk=self.integration.pk).update(profiles_seen_until=self.integration.profiles_seen_until)
        return reached is not None

    def page(self) -> bool:
        """Push the next page of all customers. Returns whether there was one."""
        running = ContactSync.objects.filter(integration=self.integration, state=SyncState.RUNNING)
        sync = running.filter(next_at__lte=timezone.now()).first()
        if sync is None:
            return False
        size = page_size(self.push.contract.limits, sync.failures)
        found = self.host.profiles(self.integration.merchant_id, after=sync.cursor, limit=size)
        here = running.filter(pk=sync.pk, cursor=sync.cursor)  # nobody has stopped it or started it anew meanwhile
        if not found:
            here.update(state=SyncState.DONE, ended_at=timezone.now(), message="")
            return False
        pushed = self.push.run(found, bulk=True)
        self.looked_at += len(found)
        if not pushed.is_complete and not _goes_on(pushed, size, sync.failures):
            here.update(**self._wait(pushed, sync.failures))
            return False
        self._later(pushed)  # a few that are never taken must not keep all others waiting
        here.update(
            cursor=found[-1].ref,
            handled=F("handled") + len(found),
            pushed=F("pushed") + len(pushed.taken),
            unchanged=F("unchanged") + len(pushed.unchanged),
            without_identity=F("without_identity") + len(pushed.without_identity),
            refused=F("refused") + len(pushed.refused),
            failures=sync.failures - 1 if sync.failures >= PATIENCE else 0,  # what is smaller grows again step by step
            message=next(iter(pushed.refused.values()), "")[:500],
        )
        return True

    def _wait(self, pushed: Pushed, failures: int) -> dict[str, Any]:
        """Return when a page that did not get through is tried again, and why it did not."""
        if not pushed.failed:  # the turn was over, or the provider asked for patience
            self.integration.refresh_from_db(fields=["hold_until"])
            return {"next_at": self.integration.hold_until or timezone.now(), "failures": failures}
        wait = min(FIRST_WAIT_SECONDS * 2 ** min(failures, 10), LONGEST_WAIT_SECONDS)
        words = next(filter(None, pushed.failed.values()), "") or _("The provider did not answer.")
        return {
            "next_at": timezone.now() + timedelta(seconds=wait),
            "message": words[:500],
            "failures": min(failures + 1, MOST_PATIENCE),
        }

    def _later(self, pushed: Pushed) -> None:
        """Have those that did not get through pushed again in a while."""
        contacts.mark_dirty(self.integration, pushed.failed, timezone.now() + AGAIN_AFTER)
        contacts.mark_dirty(self.integration, pushed.left)


def page_size(limits: Limits, failures: int = 0) -> int:
    """Return how many customers are looked at between two notes of progress.

    A page that failed several times is taken apart, down to one customer: one of them may be what the provider fails on.
    """
    size = min(limits.records_per_call, LARGE_PAGE) if limits.records_per_call > 1 else SMALL_PAGE
    if limits.contacts_per_call > 1:
        size = limits.contacts_per_call
    return size if failures < PATIENCE else max(1, size >> 2 * (failures - PATIENCE + 1))


def _goes_on(pushed: Pushed, size: int, failures: int) -> bool:
    """Tell whether a page that is not complete is left behind; what is missing is pushed later, by itself."""
    if pushed.left or failures < PATIENCE:
        return False
    return pushed.got_through or (size == 1 and failures >= MOST_PATIENCE)


# --- What is due ---------------------------------------------------------------------------------------------------------
def is_look_due(since: datetime | None, now: datetime) -> bool:
    """Tell whether changes since then should be looked at."""
    return since is not None and now - since >= OVERLAP + timedelta(seconds=settings.PROFILE_SYNC_SECONDS)


def _first_sync(integration_id: int) -> bool:
    """Tell whether the list is being filled: until then an old customer must not be added as a new one."""
    return ContactSync.objects.filter(integration_id=integration_id, state=SyncState.RUNNING, is_first=True).exists()


def has_work(integration_id: int, now: datetime) -> bool:
    """Tell whether a push has something to do at once, apart from looking for changes."""
    running = ContactSync.objects.filter(integration_id=integration_id, state=SyncState.RUNNING, next_at__lte=now)
    return running.exists() or Contact.objects.filter(integration_id=integration_id, dirty_at__lte=now).exists()


def ring_for_pushes(now: datetime) -> int:
    """Ring for every integration whose contacts are due. Returns for how many it rang."""
    free = Q(hold_until__isnull=True) | Q(hold_until__lte=now)
    idle = Q(push_leased_until__isnull=True) | Q(push_leased_until__lt=now)
    able = Integration.objects.filter(free, idle, status=Status.ACTIVE, enabled=True).exclude(breaker.is_shut_out(now))
    rows = [row for row in able.only("provider", "merchant_id", "profiles_seen_until") if is_pushed(row.contract)]
    new = [row.pk for row in rows if row.profiles_seen_until is None]  # connected before profiles were pushed
    if new:
        Integration.objects.filter(pk__in=new, profiles_seen_until__isnull=True).update(profiles_seen_until=now - OVERLAP)
    changed = _changed(rows, now)
    return sum(bell.ring_for_push(row.pk) for row in rows if row.pk in changed or has_work(row.pk, now))


def _changed(rows: Sequence[Integration], now: datetime) -> set[int]:
    """Return the integrations whose merchants have changed customers, of those at which it is time to look."""
    due = {row.pk: (row.merchant_id, row.profiles_seen_until) for row in rows if is_look_due(row.profiles_seen_until, now)}
    if not due:
        return set()
    longest_ago = now - LOOK_BACK
    merchants = get_host().merchants_changed_since(max(longest_ago, min(seen for _merchant, seen in due.values() if seen)))
    return {pk for pk, (merchant, seen) in due.items() if merchant in merchants or (seen and seen < longest_ago)}
