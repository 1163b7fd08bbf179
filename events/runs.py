"""Long runs at work: turns of a few seconds, each part with its progress in one short transaction.

A lease says which worker has a run, conditions on its row decide between two workers, two clicks, and a stop in the middle. A
crash costs the time until the lease is over; a lost bell costs a sweep.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bell, closing
from events.claims import new_owner
from events.lookups import IS_DUE
from events.models import EventDelivery
from events.models.runs import RUNNING
from integrations.models import Integration, Merchant, Status
from integrations.scope import scoped

logger = logging.getLogger(__name__)
CALLS_AHEAD = 2  # fresh events wait behind two waves of calls at most
FEWEST_AHEAD, MOST_AHEAD = 1_000, 20_000
PATIENCE = 5  # errors of ours in a row
FIRST_WAIT_SECONDS = 1.0
Turn = Callable[[Any, str], int]  # of a run, by this owner of its lease: returns how many rows were looked at
Stop = Callable[[Any, str], bool]


@dataclass(frozen=True)
class Runs:
    """One kind of runs: where its rows are, and which task does a turn. `broken` says that an error of ours ended one.

    `is_of_merchant`: it goes on only as long as whoever asked for it may act for its merchant. Other runs are the
    installation's own.
    """

    model: Any  # a subclass of `Run` with a state
    task: str
    broken: Any
    is_of_merchant: bool = True

    def ring(self, pk: int) -> bool:
        """Ask for a turn of a run, unless one is asked for already. Returns whether it rang."""
        now = timezone.now()
        silent = Q(rung_at__isnull=True) | Q(rung_at__lt=now - timedelta(seconds=settings.DELIVERY_SWEEP_SECONDS))
        return bool(self._running(pk).filter(silent).update(rung_at=now)) and bell.ask(self.task, pk)

    def ring_for_due(self, now: datetime | None = None) -> int:
        """Ring for every run that is due and at which nobody works. Returns for how many it rang."""
        due = self._due(now or timezone.now()).filter(self._free(now or timezone.now()))
        return sum(self.ring(pk) for pk in due.values_list("pk", flat=True))

    def work(self, pk: int, turn: Turn, stop: Stop) -> int:
        """Do one turn of a run. Safe to run twice or for nothing. Returns what the turn returns.

        Raises OperationalError and InterfaceError: the database went away, and the sweep rings again.
        """
        owner, rows = new_owner(), self.model._default_manager.filter(pk=pk)
        rows.update(rung_at=None)
        if closing.is_closing() or not self.lease(pk, owner):
            return 0
        try:
            run: Any = rows.select_related(*(("merchant", "asked_by") if self.is_of_merchant else ("asked_by",))).get()
            if self.is_of_merchant and not may_act(run.asked_by, run.merchant):
                stop(run, _("Stopped: whoever asked for it may no longer act for this merchant."))
                return 0
            handled = turn(run, owner)
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # a worker's edge: recorded, tried again in a while, and never for ever
            logger.exception("%s %s could not go on.", self.model._meta.verbose_name, pk)
            self._failed(pk, owner, stop)
            return 0
        finally:
            rows.filter(lease_owner=owner).update(lease_owner="", lease_until=None)
        if self._due(timezone.now()).filter(pk=pk).exists():
            self.ring(pk)
        return handled

    def lease(self, pk: int, owner: str) -> bool:
        """Take the right to work at a run; False where it is over, or another worker has it."""
        now = timezone.now()
        mine = self._due(now).filter(self._free(now), pk=pk)
        return bool(mine.update(lease_owner=owner, lease_until=leased_until(now)))

    def wait_for(self, run: Any, owner: str, integrations: Collection[int]) -> bool:
        """Tell whether one of these has enough to do already; then the run waits a little, and says for whom."""
        full = first_full(integrations)
        if full is None:
            return False
        words = _("It waits until %(provider)s has taken more of its queue, so that fresh events are not held up.")
        self.wait(run, owner, words % {"provider": full.label})
        return True

    def wait(self, run: Any, owner: str, message: str) -> None:
        """Have a run wait a little, and say why."""
        until = timezone.now() + timedelta(seconds=FIRST_WAIT_SECONDS)
        self._running(run.pk).filter(lease_owner=owner).update(next_at=until, message=message)

    def _failed(self, pk: int, owner: str, stop: Stop) -> None:
        """Note an error of ours; after a few in a row the run stops, and says so."""
        mine = self._running(pk).filter(lease_owner=owner)
        run = mine.first()
        if run is None:
            return
        if run.failures + 1 >= PATIENCE:
            stop(run, str(self.broken))
            return
        wait = timedelta(seconds=FIRST_WAIT_SECONDS * 2**run.failures)
        mine.update(failures=F("failures") + 1, next_at=timezone.now() + wait)

    def _running(self, pk: int) -> QuerySet[Any]:
        return self.model._default_manager.filter(pk=pk, state=RUNNING)

    def _due(self, now: datetime) -> QuerySet[Any]:
        return self.model._default_manager.filter(state=RUNNING, next_at__lte=now)

    @staticmethod
    def _free(now: datetime) -> Q:
        return Q(lease_until__isnull=True) | Q(lease_until__lt=now)


def leased_until(now: datetime) -> datetime:
    """Return until when a lease holds that begins now; each part that is done renews it."""
    return now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)


def may_act(user: Any, merchant: Merchant) -> bool:
    """Tell whether this user may, at this moment, act for this merchant."""
    if user is None or not (user.is_active and user.is_staff):
        return False
    return scoped(Merchant.objects.filter(pk=merchant.pk), user, "pk", writing=True).exists()


def first_full(integrations: Collection[int]) -> Integration | None:
    """Return an integration that has enough to do: more would only make its fresh events wait behind what is sent again.

    One that may not send now takes any number: its queue is not being worked off, so there is nothing to wait for.
    """
    now = timezone.now()
    free = Q(hold_until__isnull=True) | Q(hold_until__lte=now)
    answers = Q(breaker_until__isnull=True) | Q(breaker_until__lte=now)
    for row in Integration.objects.filter(free, answers, pk__in=integrations, status=Status.ACTIVE, enabled=True):
        limits = row.contract.limits
        ahead = min(max(CALLS_AHEAD * limits.records_per_call * limits.calls_in_flight, FEWEST_AHEAD), MOST_AHEAD)
        due = EventDelivery.objects.filter(IS_DUE, integration=row.pk, next_attempt_at__lte=now).order_by()
        if due[ahead : ahead + 1].exists():
            return row
    return None
