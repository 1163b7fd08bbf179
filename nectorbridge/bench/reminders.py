"""A look at what is about to expire: 2,000 due lots among a million, next to 2,000 among ten thousand; and its memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from events.memory import resident
from events.models import EventDefinition
from events.schedules import schedule_of
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare, figure
from nectorbridge.bench.scale_rows import analyze
from nectorbridge.bench.second import two_databases, use
from nectorbridge.loyalty import reminders
from nectorbridge.loyalty.models import Operation, Wallet, WalletTransaction

NAME = "reminders"
BAR = Bar(1.3, at_most=True)
LOTS, QUICK_LOTS = 1_000_000, 400
FEW_LOTS, QUICK_FEW_LOTS = 10_000, 200
DUE, QUICK_DUE = 2000, 20
CUSTOMERS, QUICK_CUSTOMERS = 2000, 20
ROWS_AT_A_TIME = 5000
LEAD_DAYS = 7
LATER_DAYS = 300  # over which what is not due is spread
LONGEST_SECONDS = 600.0


@dataclass(frozen=True)
class Site:
    """One database with its lots, of which as many are due as in the other."""

    wrapper: Any
    definition: EventDefinition
    due: int

    def look(self) -> float:
        """Record the reminders that are due, and undo it; return the milliseconds. Raises AssertionError for a wrong number."""
        use(self.wrapper)
        with transaction.atomic():
            began = time.perf_counter()
            reminders.look(self.definition.pk, LONGEST_SECONDS)
            took = (time.perf_counter() - began) * 1000
            recorded = self.definition.deliveries.count()
            transaction.set_rollback(True)
        if recorded != self.due:
            raise AssertionError(f"{recorded} reminders instead of {self.due}")
        return took


def run(options: Options) -> dict[str, Any]:
    """Measure; milliseconds."""
    many, few = options.size(LOTS, QUICK_LOTS), options.size(FEW_LOTS, QUICK_FEW_LOTS)
    with two_databases() as (first, second):
        small, big = _fill(second, few, options), _fill(first, many, options)
        big.look()
        before = resident()
        comparison = Comparison(NAME, f"{small.due:,} due reminders among {many:,} lots / among {few:,}", "ms", BAR)
        compare(comparison, small.look, big.look, options.pairs, options.note)
        comparison.extra = {"grew by": f"{max(0.0, resident() - before):.1f} MB", "reminders a second": _rate(comparison, big)}
    return comparison.as_dict()


def _rate(comparison: Comparison, site: Site) -> str:
    """Return how many reminders a second were recorded in the big table."""
    return figure(site.due / sorted(comparison.ours)[len(comparison.ours) // 2] * 1000)


def _fill(wrapper: Any, lots: int, options: Options) -> Site:
    """Write lots, an event that reminds of them, and let the hour of some have just come."""
    use(wrapper)
    began = time.perf_counter()
    place = world.build(options.size(CUSTOMERS, QUICK_CUSTOMERS))
    now = timezone.now()
    hour = (now - timedelta(hours=1)).hour
    definition = EventDefinition.objects.create(
        integration=place.integration, trigger="coinexpirynotify_create", name="Coins Expire", remind_hour=hour
    )
    due = options.size(DUE, QUICK_DUE)
    EventDefinition.objects.filter(pk=definition.pk).update(lead_days=str(LEAD_DAYS), reminded_until=now - timedelta(hours=2))
    definition = EventDefinition.objects.select_related("integration__merchant").get(pk=definition.pk)
    _write(_ends(definition, now, due, lots))
    analyze()
    options.note(f"{lots:,} lots written in {time.perf_counter() - began:.0f} s")
    return Site(wrapper, definition, due)


def _ends(definition: EventDefinition, now: datetime, due: int, lots: int) -> list[datetime]:
    """Return when each lot ends: some on the day of which the reminder's hour has just come, the others later."""
    plan = schedule_of(definition, is_lead=True)
    days = plan.days(plan.steps[0], now - timedelta(hours=2), now)
    assert days is not None, "its hour was one ago"
    first, after = plan.span(*days)
    step = (after - first) / (due + 1)
    later = timedelta(days=LATER_DAYS) / max(1, lots - due)
    return [first + step * number for number in range(1, due + 1)] + [after + later * number for number in range(lots - due)]


def _write(ends: list[datetime]) -> None:
    """Write one lot for each end. Balances are not looked at here."""
    wallets = list(Wallet.objects.values_list("pk", flat=True))
    rows: models.QuerySet[WalletTransaction] = models.QuerySet(WalletTransaction)
    for start in range(0, len(ends), ROWS_AT_A_TIME):
        rows.bulk_create(
            WalletTransaction(
                wallet_id=wallets[number % len(wallets)],
                operation=Operation.CREDIT,
                amount=100,
                remaining=100,
                balance_after=100,
                expires_at=end,
            )
            for number, end in enumerate(ends[start : start + ROWS_AT_A_TIME], start)
        )
