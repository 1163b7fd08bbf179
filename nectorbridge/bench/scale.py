"""What a table of millions costs those who look at it and who claim from it: the same things in a small and a big one.

Two databases of one shape, filled by `scale_rows`, folded as a worker would have folded them. Each figure is the time of a
whole page, rendered, or of a claim; the statements behind it are explained as well, and what rows and indexes weigh.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events import claims, retention, statistics
from events.identifiers import first_id_at
from events.lookups import over
from events.models import EventDelivery
from nectorbridge.bench import scale_rows
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare, figure
from nectorbridge.bench.plans import explained
from nectorbridge.bench.second import two_databases, use

NAME = "scale"
BAR = Bar(1.3, at_most=True)
BIG, BIG_SQLITE, SMALL = 10_000_000, 1_000_000, 10_000
QUICK_BIG, QUICK_SMALL = 3000, 1000
CLAIMED = 500
SAMPLES = 1  # after one that warms up
FOLDED_DAYS, QUICK_FOLDED_DAYS, QUARTERS = 31, 1, 96
PURGED_DAYS = 1
LIST = "admin:events_eventdelivery_changelist"
COLUMNS = ["what", "small table", "big table", "big/small median [range]", "small/small median [range]", "verdict"]


@dataclass(frozen=True)
class Site:
    """One database, with the browsers of a member of staff and of an administrator."""

    wrapper: Any
    place: scale_rows.Place
    staff: Client
    root: Client

    def use(self) -> None:
        """Have everything happen in this database from now on."""
        use(self.wrapper)


def run(options: Options) -> dict[str, Any]:
    """Measure; milliseconds."""
    full = BIG if connection.vendor == "postgresql" else BIG_SQLITE
    with _sites(options.size(full, QUICK_BIG), options.size(SMALL, QUICK_SMALL), options) as (big, small):
        comparisons = [_compare(name, act, big, small, options) for name, act in _acts().items()]
        big.use()
        plans = {name: explained(partial(act, big)) for name, act in _acts().items()}
        weights, purge_rate = _weights(big.place.rows), _purge_rate()
    verdicts = [comparison.verdict for comparison in comparisons]
    worst = next((word for word in ("missed", "within noise") if word in verdicts), "met")
    return {
        "name": NAME,
        "what": f"{big.place.rows:,} deliveries / {small.place.rows:,}; purge: {figure(purge_rate)} deliveries/s",
        "columns": COLUMNS,
        "rows": [_row(comparison) for comparison in comparisons],
        "bar": f"each {BAR}",
        "verdict": worst,
        "comparisons": [comparison.as_dict() for comparison in comparisons],
        "vendor": connection.vendor,
        "plans": plans,
        "weights": weights,
        "purge_rate": purge_rate,
    }


def _row(comparison: Comparison) -> list[str]:
    """Return one comparison's cells."""
    small, big = (f"{figure(median(values))} ms" for values in (comparison.baseline, comparison.ours))
    return [comparison.what, small, big, str(comparison.ratio), str(comparison.control_ratio), comparison.verdict]


@contextmanager
def _sites(big_rows: int, small_rows: int, options: Options) -> Iterator[tuple[Site, Site]]:
    """Fill two databases: the throw-away one, and a second one beside it."""
    with two_databases() as (first, second):
        use(second)
        small = _fill(second, small_rows, options)
        use(first)
        yield _fill(first, big_rows, options), small


def _fill(wrapper: Any, rows: int, options: Options) -> Site:
    """Fill the present database, and fold it."""
    began = time.perf_counter()
    place = scale_rows.build(rows)
    filled = time.perf_counter()
    with statistics.frontier() as row:  # older quarters are on no page that is measured
        row.folded_until = statistics.quarter_of(timezone.now() - timedelta(days=options.size(FOLDED_DAYS, QUICK_FOLDED_DAYS)))
        row.first_id = first_id_at(row.folded_until)
        row.save()
    while statistics.fold(most=QUARTERS):
        pass
    scale_rows.analyze()
    folded = time.perf_counter()
    options.note(f"{rows:,} deliveries written in {filled - began:.0f} s, folded in {folded - filled:.0f} s")
    browsers = []
    for name in (scale_rows.STAFF, "root"):
        browser = Client()
        browser.force_login(get_user_model().objects.get(username=name))
        browsers.append(browser)
    return Site(wrapper, place, *browsers)


def _compare(name: str, act: Callable[[Site], float], big: Site, small: Site, options: Options) -> Comparison:
    """Measure one thing in both."""

    def side(site: Site) -> float:
        site.use()
        if not options.is_quick:
            act(site)
        return median(act(site) for _number in range(SAMPLES))

    comparison = Comparison(NAME, name, "ms", BAR)
    return compare(comparison, lambda: side(small), lambda: side(big), options.pairs, lambda _line: None)


def _acts() -> dict[str, Callable[[Site], float]]:
    """Return what is measured, by name; each returns the milliseconds it took."""
    acts: dict[str, Callable[[Site], float]] = {f"claim of {CLAIMED}": _claim}
    filters: dict[str, Callable[[Site], dict[str, Any]]] = {
        "first page": lambda site: {},
        "a page 45 days back": lambda site: {"p": f"before-{first_id_at(timezone.now() - timedelta(days=45)).hex}"},
        "state failed": lambda site: {"status__exact": "failed"},
        "states skipped and cancelled": lambda site: {"status__exact": ["skipped", "cancelled"]},
        "state queued": lambda site: {"status__exact": "queued"},
        "reason refused": lambda site: {"reason__exact": "refused"},
        "integration": lambda site: {"integration__id__exact": site.place.integration.pk},
        "event": lambda site: {"definition__id__exact": site.place.definition.pk},
        "portal": lambda site: {"portal": "pos"},
        "a week, 60 days ago": _week,
        "tests": lambda site: {"is_test__exact": "1"},
        "sent, integration, 30 days": lambda site: (
            _month(site) | {"status__exact": "sent", "integration__id__exact": site.place.integration.pk}
        ),
        "search by email": lambda site: {"q": f"C{_customer(site)}@bench.example"},
        "search by customer ID": lambda site: {"q": f"C{_customer(site)}"},
        "search by delivery ID": lambda site: {"q": str(_somewhere(site).pk)},
    }
    for name, query in filters.items():
        acts[f"list: {name}"] = partial(_list, query)
    acts["list, administrator: first page"] = lambda site: _page(site.root, reverse(LIST), {})
    acts["list, administrator: state failed"] = lambda site: _page(site.root, reverse(LIST), {"status__exact": "failed"})
    for period in ("today", "7", "30"):
        acts[f"home: {period}"] = partial(_home, period)
    acts["home, administrator: 30"] = lambda site: _page(site.root, reverse("admin:index"), {"period": "30"})
    acts["a delivery's page"] = lambda site: _page(
        site.staff, reverse("admin:events_eventdelivery_change", args=[_somewhere(site).pk]), {}
    )
    return acts


def _list(query: Callable[[Site], dict[str, Any]], site: Site) -> float:
    """Load a list as staff."""
    return _page(site.staff, reverse(LIST), query(site))


def _home(period: str, site: Site) -> float:
    """Load the home page as staff."""
    return _page(site.staff, reverse("admin:index"), {"period": period})


def _week(site: Site) -> dict[str, Any]:
    """Return a period."""
    day = timezone.now().date() - timedelta(days=60)
    return {"created_at_from": str(day), "created_at_to": str(day + timedelta(days=6))}


def _month(site: Site) -> dict[str, Any]:
    """Return a longer period."""
    return _week(site) | {"created_at_to": str(timezone.now().date() - timedelta(days=31))}


def _somewhere(site: Site) -> EventDelivery:
    """Return a delivery of the merchant's from the middle of the table."""
    before = first_id_at(timezone.now() - timedelta(days=45))
    return over(EventDelivery.objects.filter(merchant=site.place.merchant, id__lt=before)).order_by("-id")[0]


def _customer(site: Site) -> str:
    """Return that delivery's customer."""
    return _somewhere(site).customer_ref


def _page(browser: Client, address: str, query: dict[str, Any]) -> float:
    """Load a page; return the milliseconds. Raises AssertionError where it is not there."""
    began = time.perf_counter()
    response = browser.get(address, query, headers={"host": "127.0.0.1"})
    took = (time.perf_counter() - began) * 1000
    if response.status_code != 200:
        raise AssertionError(f"{address} {query}: {response.status_code}")
    return took


def _claim(site: Site) -> float:
    """Claim from the queue, and undo it."""
    with transaction.atomic():
        began = time.perf_counter()
        claimed = claims.claim(site.place.integration.pk, CLAIMED, claims.new_owner())
        took = (time.perf_counter() - began) * 1000
        transaction.set_rollback(True)
    if len(claimed) != CLAIMED:
        raise AssertionError(f"claimed {len(claimed)}")
    return took


def _weights(rows: int) -> list[tuple[str, int, float]]:
    """Return what the tables and indexes weigh: name, bytes, bytes per delivery. PostgreSQL only."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'i') AND pg_relation_size(oid) > 100000 "
            "AND (relname LIKE 'events_%%' OR relname LIKE 'delivery_%%' OR relname LIKE 'attempt_%%' OR relname LIKE 'stat_%%') "
            "ORDER BY relkind DESC, 2 DESC"
        )
        return [(name, size, size / rows) for name, size in cursor.fetchall()]


def _purge_rate() -> float:
    """Delete the oldest days of the table; return deliveries per second."""
    before = timezone.now() - timedelta(days=scale_rows.DAYS - PURGED_DAYS, hours=2)
    began = time.perf_counter()
    done = sum(retention.purge_deliveries(before))
    return done / (time.perf_counter() - began)
