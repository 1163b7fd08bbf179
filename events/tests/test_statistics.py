"""Opens, clicks and hand-over times in the statistics: counted once, whatever folds, counts, purges or runs beside."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import engaging, retention, statistics, statistics_detail, statistics_engagement, statistics_proof, statistics_reading
from events.models import Engagement, EventDelivery, StatBucket, StatTotal
from events.statistics_detail import Figures, percentile
from events.statistics_reading import Span
from events.tests.test_retention import NOW, deliver
from nectorbridge.testing import make

QUARTER = statistics.QUARTER
END = statistics.quarter_of(NOW) + QUARTER
WHOLE = [Span(END - timedelta(days=40), END)]


def came(delivery, kind="open", ago=timedelta(hours=3), **values):
    return Engagement.objects.create(delivery=delivery, kind=kind, occurred_at=NOW - ago, **{"source": "pixel", **values})


def totals(merchants=None):
    return {key: number for key, number in statistics_reading.count(WHOLE, merchants)[0].items() if number}


def details(definition):
    found = statistics_detail.count(WHOLE, [definition.pk])[0].get(definition.pk, Figures())
    return {key: number for key, number in found.reasons.items() if number}


def count_all(now=NOW):
    while statistics_engagement.count(now):
        pass


def fold_all():
    while statistics.fold(NOW):
        pass


@pytest.fixture
def definition(db):
    return make.definition()


def test_opens_count_when_they_came_and_the_first_by_a_person_once(definition):
    row = deliver(definition, days=20)
    for number in range(3):
        came(row, ago=timedelta(hours=5 - number))
    came(row, is_machine=True)
    came(deliver(definition, days=20, is_test=True))
    expected = {"sent": 1, "open": 3, "open_first": 1, "open_machine": 1}
    assert totals() == expected
    count_all()
    assert totals() == expected and totals([definition.integration.merchant_id]) == expected
    assert Engagement.objects.filter(is_first=True).count() == 1 + 1  # the test's own, which is in no figure
    came(row, ago=timedelta(hours=1))
    assert totals() == expected | {"open": 4}
    count_all()
    assert totals() == expected | {"open": 4}


def test_a_machine_that_came_first_takes_nothing_from_the_person(definition):
    row = deliver(definition, days=2)
    came(row, "click", is_machine=True, source="link")
    count_all()
    came(row, "click", ago=timedelta(hours=1), source="link")
    expected = {"sent": 1, "click": 1, "click_first": 1, "click_machine": 1}
    assert totals() == expected
    count_all()
    assert totals() == expected


def test_clicks_on_two_links_within_a_second_are_a_scanners(definition):
    first, second, other = (deliver(definition, days=1) for _number in range(3))
    stranger = deliver(definition, days=1, customer_ref="c2")
    at = timedelta(hours=1)
    came(first, "click", ago=at, source="link")
    came(second, "click", ago=at - timedelta(milliseconds=900), source="link")
    came(other, "click", ago=at - timedelta(seconds=5), source="link")  # later: a person's
    came(other, "click", ago=at - timedelta(seconds=5.2), source="link")  # twice on one link: an impatient person's
    came(stranger, "click", ago=at, source="link")
    count_all()
    assert totals() == {"sent": 4, "click": 3, "click_first": 2, "click_machine": 2}
    assert set(Engagement.objects.filter(is_machine=True).values_list("delivery", flat=True)) == {first.pk, second.pk}


def test_what_is_young_waits_for_a_click_beside_it_and_is_read_meanwhile(definition):
    row = deliver(definition, days=1)
    came(row, "click", ago=timedelta(seconds=1), source="link")
    assert statistics_engagement.count(NOW) == 0
    assert totals() == {"sent": 1, "click": 1, "click_first": 1}
    assert statistics_engagement.count(NOW + timedelta(seconds=1)) == 1


def test_details_are_by_event_and_reason(definition):
    other = make.definition(definition.integration, trigger="coupon_create")
    deliver(definition, days=3, status="skipped", reason="no_consent")
    deliver(definition, days=3, status="skipped", reason="holdout")
    deliver(definition, days=3, status="failed", reason="refused")
    deliver(other, days=3, status="skipped", reason="no_consent")
    sent = deliver(definition, days=3)
    EventDelivery.objects.filter(pk=sent.pk).update(sent_at=sent.occurred_at + timedelta(seconds=1.5))
    came(sent)
    expected = {
        ("skipped", "no_consent"): 1,
        ("skipped", "holdout"): 1,
        ("failed", "refused"): 1,
        ("sent", ""): 1,
        ("handover", "2"): 1,
        ("open", ""): 1,
        ("open_first", ""): 1,
    }
    assert details(definition) == expected
    fold_all()
    assert details(definition) == expected
    count_all()
    assert details(definition) == expected
    assert details(other) == {("skipped", "no_consent"): 1}
    statistics.disturb(definition.integration_id, [sent.pk])
    assert details(definition) == expected  # read from the rows meanwhile
    statistics.recount(timezone.now())
    assert details(definition) == expected
    assert "handover" not in totals()


def test_details_fall_into_the_spans_in_which_they_were_recorded_or_happened(definition):
    row = deliver(definition, days=2)
    came(row, ago=timedelta(hours=30))
    came(row, ago=timedelta(hours=1))
    days = [Span(END - timedelta(days=number), END - timedelta(days=number - 1)) for number in (3, 2, 1)]

    def found():
        return [dict(day.get(definition.pk, Figures()).numbers) for day in statistics_detail.count(days, [definition.pk])]

    expected = [{"sent": 1}, {"open": 1, "open_first": 1}, {"open": 1}]
    assert found() == expected
    fold_all()
    count_all()
    assert found() == expected
    assert statistics_detail.count(days, []) == [{}, {}, {}] and statistics_detail.count([], [definition.pk]) == []


@pytest.mark.parametrize(("took", "p95"), [
    ([0.1] * 100, 0.25), ([0.1] * 95 + [40] * 5, 0.25), ([0.1] * 94 + [40] * 6, 60.0), ([90_000] * 3, float("inf")), ([], None),
])  # fmt: skip
def test_the_percentile_is_the_bound_that_so_many_stayed_within(definition, took, p95):
    for seconds in took:
        row = deliver(definition, days=1)
        EventDelivery.objects.filter(pk=row.pk).update(sent_at=row.occurred_at + timedelta(seconds=seconds))
    found = statistics_detail.count(WHOLE, [definition.pk])[0].get(definition.pk, Figures())
    assert percentile(found) == p95


def test_imports_replays_and_tests_say_nothing_about_how_long_it_takes(definition):
    first = deliver(definition, days=1)
    for values in ({"is_backfill": True}, {"is_test": True}, {"replay_of_id": first.pk}):
        row = deliver(definition, days=1, **values)
        EventDelivery.objects.filter(pk=row.pk).update(sent_at=row.occurred_at + timedelta(seconds=1))
    assert not [key for key in details(definition) if key[0] == "handover"]


def test_a_purge_keeps_every_figure(definition):
    row = deliver(definition, days=20)
    EventDelivery.objects.filter(pk=row.pk).update(sent_at=row.occurred_at + timedelta(seconds=1))
    came(row)
    count_all()
    came(row, ago=timedelta(seconds=1))  # not counted when its delivery goes
    before, detailed = totals(), details(definition)
    assert before == {"sent": 1, "open": 2, "open_first": 1}
    fold_all()
    assert sum(retention.purge_deliveries(NOW - timedelta(days=10))) == 1
    assert not Engagement.objects.exists() and totals() == before and details(definition) == detailed
    assert not StatBucket.objects.filter(kept__gt=0).exists()


STEP = st.one_of(
    st.tuples(
        st.just("deliver"), st.integers(0, 1), st.integers(0, 2000), st.sampled_from(["sent", "failed", "skipped", "queued"])
    ),
    st.tuples(st.just("came"), st.integers(0, 50), st.integers(0, 2000), st.sampled_from(["open", "click"]), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 50)),
    st.sampled_from([("fold",), ("count",), ("recount",), ("purge",)]),
)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=5, max_size=40))
def test_figures_equal_a_recount_whatever_happens_in_whatever_order(steps):
    with transaction.atomic():
        definitions = [make.definition(make.integration(make.merchant(f"m{uuid.uuid4().hex[:8]}"))) for _number in range(2)]
        rows, opened, expected = [], set(), [Counter(), Counter()]
        for step in steps:
            _take(step, definitions, rows, opened, expected)
            for number, definition in enumerate(definitions):
                wanted = {key: value for key, value in expected[number].items() if value}
                assert totals([definition.integration.merchant_id]) == wanted, step
                found = statistics_detail.count(WHOLE, [definition.pk])[0].get(definition.pk, Figures())
                assert {key: value for key, value in found.numbers.items() if value and key != "handover"} == wanted, step
        count_all(NOW + timedelta(hours=1))
        assert not [difference for _quarter, found in statistics_proof.prove() for difference in found]
        transaction.set_rollback(True)


def _take(step, definitions, rows, opened, expected):
    """Take one step, in the database and in the model."""
    kind, *values = step
    if kind == "deliver":
        number, quarters, status = values
        row = deliver(definitions[number], days=0.1 + quarters / 96 / 2, status=status, reason="")
        statistics.disturb(row.integration_id, [row.pk])  # ids are made now, not in a quarter that may be folded already
        rows.append([number, row, status])
        expected[number][status] += 1
    elif kind == "came" and rows:
        which, quarters, what, is_machine = values
        place = which % len(rows)
        number, row, _status = rows[place]
        if not EventDelivery.objects.filter(pk=row.pk).exists():
            return
        came(row, what, ago=timedelta(minutes=1 + quarters * 15), is_machine=is_machine)
        expected[number][f"{what}_machine" if is_machine else what] += 1
        if not is_machine and (place, what) not in opened:
            opened.add((place, what))
            expected[number][f"{what}_first"] += 1
    elif kind == "end" and rows:
        place = values[0] % len(rows)
        number, row, status = rows[place]
        if status in ("queued", "failed") and EventDelivery.objects.filter(pk=row.pk).update(status="cancelled"):
            statistics.disturb(row.integration_id, [row.pk])
            expected[number][status] -= 1
            expected[number]["cancelled"] += 1
            rows[place][2] = "cancelled"
    elif kind == "fold":
        fold_all()
    elif kind == "count":
        statistics_engagement.count(NOW, most=3)
    elif kind == "recount":
        statistics.recount(timezone.now() + timedelta(hours=1))
    elif kind == "purge":
        sum(retention.purge_deliveries(NOW - timedelta(days=5)))


@pytest.mark.django_db(transaction=True)
def test_writers_folders_and_readers_at_once_lose_nothing():
    definition = make.definition()
    row, stop, errors = deliver(definition, days=1), threading.Event(), []
    fold_all()

    def write():
        for _number in range(100):
            engaging.write([engaging.Came(row.pk, "open", "pixel", NOW - timedelta(hours=2))])

    def count():
        while not stop.is_set():
            statistics_engagement.count(NOW, most=7)

    def read():
        last = 0
        while not stop.is_set():
            found = totals()
            if found.get("open_first", 0) > 1 or found.get("open", 0) < last:
                errors.append(found)
            last = found.get("open", 0)

    def run(work):
        try:
            work()
        except Exception as error:  # shown by the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=run, args=[write]) for _number in range(3)]
    others = [threading.Thread(target=run, args=[work]) for work in (count, count, read)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    assert not errors
    count_all()
    assert totals() == {"sent": 1, "open": 300, "open_first": 1}
    assert Engagement.objects.filter(is_first=True).count() == 1


# --- manage.py recount --------------------------------------------------------------------------------------------------
def recount(*arguments):
    out = StringIO()
    call_command("recount", *arguments, stdout=out)
    return out.getvalue()


def test_recount_proves_finds_and_repairs(definition):
    row = deliver(definition, days=2)
    deliver(definition, days=3, status="failed")
    came(row)
    fold_all()
    assert "every figure is right" in recount() and Engagement.objects.filter(is_counted=False).count() == 0
    before = totals()
    StatBucket.objects.filter(figure="sent").update(kept=7)
    StatBucket.objects.filter(figure="failed").delete()
    StatBucket.objects.filter(figure="open_first").update(kept=0)
    with pytest.raises(CommandError, match="5 figures differ"):
        recount()
    said = recount("--repair")
    assert (
        "5 figures were put right" in said and "sent: 7 counted, 1 rows" in said and "failed refused: 0 counted, 1 rows" in said
    )
    assert "every figure is right" in recount() and totals() == before


def test_recount_sees_sums_that_are_not_those_of_their_figures(definition):
    deliver(definition, days=2)
    fold_all()
    StatTotal.objects.filter(figure="sent", scope=0).update(kept=9)
    with pytest.raises(CommandError, match="1 figures differ"):
        recount()
    recount("--repair")
    assert totals() == {"sent": 1} and "every figure is right" in recount()


def test_recount_leaves_alone_what_is_to_be_counted_anew_and_what_was_purged(definition):
    row = deliver(definition, days=20)
    deliver(definition, days=2)
    fold_all()
    sum(retention.purge_deliveries(NOW - timedelta(days=10)))
    statistics.disturb(definition.integration_id, list(EventDelivery.objects.values_list("pk", flat=True)))
    EventDelivery.objects.exclude(pk=row.pk).update(status="cancelled")
    assert "every figure is right" in recount()
    assert totals() == {"sent": 1, "cancelled": 1}
