"""The page of what an event was worth: figures that are counted by hand here, empty states, the file, the scope."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events.admin import worth_page
from events.host import Exposure, Host, Outcome
from events.identifiers import first_id_at
from events.lift import Verdict
from events.models import Engagement, EventDefinition, EventDelivery
from events.tests.conftest import deliver
from events.worth import report
from nectorbridge.testing import make

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY


class WorthHost(Host):
    """Answers from what a test has put here, and notes what it is asked."""

    did: dict[str, Outcome] = {}
    merged: dict[str, str] = {}
    asked: list[list[Exposure]] = []

    def resolve_refs(self, merchant_id, refs) -> Mapping[str, str]:
        return {ref: self.merged.get(ref, ref) for ref in refs}

    def outcomes(self, merchant_id: int, trigger: str, exposures: Sequence[Exposure]) -> Mapping[str, Outcome]:
        self.asked.append(list(exposures))
        return {item.ref: self.did.get(item.ref, Outcome()) for item in exposures if not item.ref.startswith("gone")}


@pytest.fixture(autouse=True)
def host(settings):
    cache.clear()
    settings.NECTORBRIDGE_HOST = "events.tests.test_admin_worth.WorthHost"
    WorthHost.did, WorthHost.merged, WorthHost.asked = {}, {}, []
    with time_machine.travel(NOW, tick=False):
        yield WorthHost


def at(definition, ref, moment, **values):
    """A delivery that was recorded and sent at a moment, or skipped for the holdout."""
    number = EventDelivery.objects.count()
    key = first_id_at(moment).int + number
    sent = {"status": "sent", "sent_at": moment} if "reason" not in values else {"status": "skipped"}
    return deliver(
        definition,
        id=UUID(int=key),
        customer_ref=ref,
        created_at=moment,
        occurred_at=moment,
        **{**sent, **values},
    )


def read(definition, days=30, window=WEEK):
    return report(definition, NOW - days * DAY, NOW, window, NOW)


def row(found, key):
    return next(item for item in found.rows if item.measure.key == key)


# --- Who is counted --------------------------------------------------------------------------------------------------------
def test_each_customer_is_counted_once_from_the_first_time_in_the_period(definition, host):
    at(definition, "c1", NOW - 40 * DAY)
    at(definition, "c1", NOW - 20 * DAY)
    at(definition, "c1", NOW - 15 * DAY)
    at(definition, "c2", NOW - 12 * DAY)
    found = read(definition)
    assert (found.exposed.size, found.held_out.size) == (2, 0)
    assert [(item.ref, item.since, item.until) for item in host.asked[0]] == [
        ("c1", NOW - 20 * DAY, NOW - 13 * DAY),
        ("c2", NOW - 12 * DAY, NOW - 5 * DAY),
    ]


def test_time_counts_from_when_it_was_sent_also_where_it_waited_over_the_periods_begin(definition, host):
    at(definition, "c1", NOW - 35 * DAY, sent_at=NOW - 20 * DAY)
    at(definition, "c2", NOW - 32 * DAY, sent_at=NOW - 31 * DAY)
    assert read(definition).exposed.size == 1
    assert host.asked[0][0].since == NOW - 20 * DAY


def test_whose_window_is_not_over_is_shown_apart(definition):
    at(definition, "c1", NOW - WEEK)
    at(definition, "c2", NOW - WEEK + timedelta(seconds=1))
    at(definition, "h1", NOW - DAY, reason="holdout")
    found = read(definition)
    assert (found.exposed.size, found.exposed.still_open) == (1, 1)
    assert (found.held_out.size, found.held_out.still_open) == (0, 1)


def test_only_what_was_sent_or_held_out_of_this_event_counts(definition):
    other = make.definition(definition.integration, name="Other")
    moment = NOW - 10 * DAY
    for values in ({"is_test": True}, {"is_backfill": True}, {"status": "failed", "sent_at": None}, {"reason": "no_consent"}):
        at(definition, "c1", moment, **values)
    at(other, "c1", moment)
    at(definition, "c9", moment, reason="holdout")
    found = read(definition)
    assert (found.exposed.size, found.held_out.size, found.exposed.still_open) == (0, 1, 0)


def test_who_was_in_both_groups_is_in_neither(definition):
    at(definition, "c1", NOW - 20 * DAY)
    at(definition, "c1", NOW - 10 * DAY, reason="holdout")
    found = read(definition)
    assert (found.both, found.exposed.size, found.held_out.size) == (1, 0, 0)


def test_merged_customers_count_once_as_who_they_are_now(definition, host):
    host.merged = {"old": "new"}
    host.did = {"new": Outcome(has_ordered=True)}
    at(definition, "new", NOW - 12 * DAY)
    at(definition, "old", NOW - 20 * DAY)
    found = read(definition)
    assert (found.exposed.size, found.exposed.hits["ordered"]) == (1, 1)
    assert [(item.ref, item.since) for item in host.asked[0]] == [("new", NOW - 20 * DAY)]


def test_of_whom_the_host_knows_nothing_is_counted_in_nowhere(definition):
    at(definition, "gone-1", NOW - 20 * DAY)
    at(definition, "c1", NOW - 20 * DAY)
    found = read(definition)
    assert (found.exposed.size, found.exposed.unknown) == (1, 1)


def test_counting_begins_when_the_share_was_changed_within_the_period(definition):
    EventDefinition.objects.update(holdout_percent=10, holdout_since=NOW - 15 * DAY)
    definition.refresh_from_db()
    at(definition, "c1", NOW - 20 * DAY)
    at(definition, "c2", NOW - 10 * DAY)
    found = read(definition)
    assert (found.is_later, found.since, found.exposed.size) == (True, NOW - 15 * DAY, 1)
    assert not read(definition, days=12).is_later


def test_many_are_asked_about_in_parts_and_cost_few_statements(definition, host, monkeypatch):
    monkeypatch.setattr("events.worth.REFS_AT_A_TIME", 10)
    for number in range(25):
        at(definition, f"c{number}", NOW - 20 * DAY + timedelta(minutes=number))
    with CaptureQueriesContext(connection) as seen:
        assert read(definition).exposed.size == 25
    assert [len(part) for part in host.asked] == [10, 10, 5]
    assert len(seen) == 2 + 3, "who was sent to, who was held out, and who said no in each part"


def test_more_than_the_most_are_cut_and_that_is_said(definition, owner, monkeypatch):
    monkeypatch.setattr("events.worth.MOST_CUSTOMERS", 2)
    for number in range(3):
        at(definition, f"c{number}", NOW - 20 * DAY)
    found = read(definition)
    assert (found.exposed.size, found.exposed.is_cut) == (2, True)
    assert "Only the first" in shown(owner, definition)


# --- What they did ---------------------------------------------------------------------------------------------------------
def test_figures_of_both_groups_and_what_they_tell(definition, host):
    for number in range(200):
        at(definition, f"c{number}", NOW - 20 * DAY)
        if number < 100:
            host.did[f"c{number}"] = Outcome(has_ordered=True, revenue=Decimal(50), has_used_coupon=number < 10)
    for number in range(100):
        at(definition, f"h{number}", NOW - 20 * DAY, reason="holdout")
        if number < 20:
            host.did[f"h{number}"] = Outcome(
                has_ordered=True, revenue=Decimal(50), has_used_coupon=number < 4, has_opted_out=True
            )
    found = read(definition)
    ordered, revenue, coupon, no = (row(found, key) for key in ("ordered", "revenue", "coupon", "no"))
    assert (found.exposed.hits["ordered"], found.held_out.hits["ordered"]) == (100, 20)
    assert ordered.found.difference == pytest.approx(0.3) and ordered.verdict == Verdict.MORE
    assert found.exposed.revenue == 5000 and revenue.found.difference == pytest.approx(15) and revenue.verdict == Verdict.MORE
    assert coupon.verdict == Verdict.NO_DIFFERENCE and coupon.found.low < 0 < coupon.found.high
    assert no.found.difference == pytest.approx(-0.2) and no.verdict == Verdict.LESS


def test_complaints_and_unsubscribes_that_came_back_count_within_the_window(definition, host):
    host.merged = {"former": "c4"}
    for ref, when, kind, machine in [
        ("c1", WEEK, "complaint", False),
        ("c2", WEEK + timedelta(seconds=1), "complaint", False),
        ("c3", DAY, "unsubscribe", True),
        ("former", DAY, "unsubscribe", False),
        ("c5", DAY, "click", False),
        ("c6", timedelta(0), "unsubscribe", False),
    ]:
        delivery = at(definition, ref, NOW - 20 * DAY)
        Engagement.objects.create(
            delivery=delivery, kind=kind, source="test", is_machine=machine, occurred_at=NOW - 20 * DAY + when
        )
    found = read(definition)
    assert (found.exposed.size, found.exposed.hits["no"]) == (6, 2)


def test_a_reminder_of_coins_names_them(integration, host):
    definition = make.definition(integration, trigger="coinexpirynotify_create", name="Expiring")
    ends = "2026-06-20T00:00:00+00:00"
    key = f"{definition.pk}:coinexpirynotify_create:77:30:1"
    at(definition, "c1", NOW - 20 * DAY, payload={"coins": 120, "expires_at": ends}, idempotency_key=key)
    at(definition, "c2", NOW - 20 * DAY, payload={"coins": "many"})
    host.did = {"c1": Outcome(coins_spent=30)}
    found = read(definition)
    (first, second) = sorted(host.asked[0], key=lambda item: item.ref)
    assert (first.key, first.coins, first.ends_at) == ("coinexpirynotify_create:77:30:1", 120, datetime(2026, 6, 20, tzinfo=UTC))
    assert (second.coins, second.ends_at) == (0, None)
    assert (found.exposed.coins_named, found.exposed.coins_spent, found.exposed.hits["coins"]) == (120, 30, 1)


@pytest.mark.parametrize(
    ("trigger", "own"),
    [
        ("walletreward_create", []),
        ("coinexpirynotify_create", ["coins"]),
        ("incompletereferralrequest_create", ["referral"]),
        ("reviewrequest_create", ["review"]),
        ("custom:anything", []),
    ],
)
def test_each_trigger_has_the_measures_that_make_sense_for_it(integration, trigger, own):
    definition = make.definition(integration, trigger=trigger, name="E")
    assert [item.measure.key for item in read(definition).rows] == [*own, "coupon", "ordered", "revenue", "no"]


# --- The page --------------------------------------------------------------------------------------------------------------
def page(definition, **params) -> str:
    query = "&".join(f"{key}={value}" for key, value in params.items())
    return reverse("admin:events_eventdefinition_worth", args=[definition.pk]) + (f"?{query}" if query else "")


def shown(client, definition, **params) -> str:
    text = html.unescape(client.get(page(definition, **params)).content.decode())
    return re.sub(r"\s+", " ", text)


def test_an_event_of_which_nothing_was_sent_says_what_to_do(owner, definition):
    text = shown(owner, definition)
    assert "Nothing was sent in this period" in text and "Nobody is held out of this event" in text and "Set a holdout" in text


def test_without_a_holdout_there_are_figures_and_no_lift(owner, definition, host):
    at(definition, "c1", NOW - 20 * DAY)
    host.did = {"c1": Outcome(has_ordered=True, revenue=Decimal("1234.50"))}
    text = shown(owner, definition)
    assert "100.0 %" in text and "1 of 1" in text and "1,234.50" in text
    assert "Nobody is held out, so it has nothing to be compared with." in text


def test_what_is_no_marketing_is_offered_no_holdout(owner, definition):
    EventDefinition.objects.update(consent_policy="ignore")
    text = shown(owner, definition)
    assert "it goes to everybody" in text and "Set a holdout" not in text


def test_customers_within_their_window_are_no_empty_page(owner, definition):
    at(definition, "c1", NOW - DAY)
    assert "Too early to tell" in shown(owner, definition) and "Nothing was sent" not in shown(owner, definition)
    assert "1 of 1" not in shown(owner, definition) and "0 of 1" in shown(owner, definition, window=1)


def test_few_held_out_customers_tell_nothing(owner, definition):
    EventDefinition.objects.update(holdout_percent=10)
    for number in range(40):
        at(definition, f"c{number}", NOW - 20 * DAY)
    at(definition, "h1", NOW - 20 * DAY, reason="holdout")
    text = shown(owner, definition)
    assert "Too few held-out customers to tell: 1, and 30 are the least." in text and "Nobody is held out" not in text


def test_the_definition_of_each_figure_stands_beside_it_in_the_merchants_word(owner, integration):
    definition = make.definition(integration, trigger="coinexpirynotify_create", name="Expiring")
    at(definition, "c1", NOW - 20 * DAY, payload={"coins": 120})
    text = shown(owner, definition)
    assert "Saved expiring points" in text and "Spent at least one of the points" in text and "0 of 120 points" in text
    assert "neither cancelled nor fully refunded" in text


@pytest.mark.parametrize(
    "params",
    [
        {"period": "nonsense", "window": "x"},
        {"window": "2"},
        {"period": "range", "from": "2026-99-99"},
        {"period": "range", "from": "1900-01-01", "to": "2999-01-01"},
        {"period": "range", "from": "2001-01-01"},
        {"window": "9" * 40},
    ],
)
def test_what_makes_no_sense_in_the_address_is_no_error(owner, definition, params):
    assert owner.get(page(definition, **params)).status_code == 200
    assert owner.get(page(definition, **params)).context["asked"].period.days <= 366


def test_the_page_is_one_of_the_events_pages(owner, definition):
    form = owner.get(reverse("admin:events_eventdefinition_change", args=[definition.pk])).content.decode()
    assert page(definition) in form


@pytest.mark.parametrize("name", ["worth", "worth_file"])
def test_a_viewer_may_look_and_another_merchants_event_is_not_there(viewer, stranger, definition, name):
    address = reverse(f"admin:events_eventdefinition_{name}", args=[definition.pk])
    assert viewer.get(address).status_code == 200
    assert stranger.get(address).status_code == 404
    assert viewer.get(reverse(f"admin:events_eventdefinition_{name}", args=["0"])).status_code == 404


def test_a_viewer_is_not_asked_to_set_a_holdout(viewer, definition):
    text = shown(viewer, definition)
    assert "Nobody is held out of this event" in text and "Set a holdout" not in text


def test_what_takes_long_is_counted_once_in_ten_minutes_and_says_when(owner, definition, host, monkeypatch):
    for number in range(3):
        at(definition, f"c{number}", NOW - 20 * DAY)
    counted = []
    real = worth_page.report
    monkeypatch.setattr(worth_page, "report", lambda *args: counted.append(args) or real(*args))
    shown(owner, definition), shown(owner, definition)
    assert len(counted) == 2, "what is quick is counted each time"
    monkeypatch.setattr(worth_page, "LONG_SECONDS", -1)
    for _number in range(2):
        assert "Counted " in shown(owner, definition)
    file = owner.get(reverse("admin:events_eventdefinition_worth_file", args=[definition.pk]))
    assert b"".join(file.streaming_content).count(b"\n") >= 4 and len(counted) == 3
    definition.holdout_percent = 10
    definition.save()
    shown(owner, definition)
    assert len(counted) == 4, "another share is another report"


def test_a_cache_that_is_away_keeps_no_report_from_being_read(owner, definition, monkeypatch):
    class Away:
        def get(self, *_args):
            raise ConnectionError

        set = get

    monkeypatch.setattr(worth_page, "cache", Away())
    monkeypatch.setattr(worth_page, "LONG_SECONDS", -1)
    at(definition, "c1", NOW - 20 * DAY)
    assert "Counted " in shown(owner, definition)


def test_where_all_are_strangers_it_does_not_say_that_nothing_was_sent(owner, definition):
    at(definition, "gone", NOW - 20 * DAY)
    text = shown(owner, definition)
    assert "Nobody to count" in text and "Nothing was sent" not in text


# --- The file --------------------------------------------------------------------------------------------------------------
def test_the_file_has_the_same_figures_as_numbers_and_computes_nothing(owner, definition, host):
    EventDefinition.objects.update(name='=HYPERLINK("x")')
    for number in range(40):
        at(definition, f"c{number}", NOW - 20 * DAY)
        at(definition, f"h{number}", NOW - 20 * DAY, reason="holdout")
        host.did[f"h{number}"] = Outcome(has_ordered=True, revenue=Decimal(10))
    answer = owner.get(reverse("admin:events_eventdefinition_worth_file", args=[definition.pk]))
    text = b"".join(answer.streaming_content).decode().removeprefix("\ufeff")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert "attachment" in answer["Content-Disposition"] and len(lines) == 4
    assert {item["event"] for item in lines} == {'\'=HYPERLINK("x")'}
    ordered = next(item for item in lines if item["measure"] == "Bought again")
    assert (ordered["got it: customers"], ordered["got it: figure"], ordered["held out: figure"]) == ("40", "0.0", "1.0")
    assert float(ordered["difference"]) == -1 and ordered["unit"] == "share" and ordered["window in days"] == "7"
    revenue = next(item for item in lines if item["measure"].startswith("Revenue"))
    assert (revenue["held out: figure"], revenue["held out: how many, or how much in all"]) == ("10.0", "400")
    assert all(
        re.fullmatch(r"-?\d+(\.\d+)?|", str(value)) for item in lines for key, value in item.items() if key.startswith("interval")
    )


def test_the_form_takes_a_holdout_and_says_why_it_does_not(owner, definition):
    address = reverse("admin:events_eventdefinition_change", args=[definition.pk])
    text = html.unescape(owner.get(address).content.decode())
    assert "So many of every 100 customers" in text
    base = {
        "name": definition.name,
        "portal": "all",
        "enabled": "on",
        "stale_unit": "3600",
        "cap_hours": "24",
        "quiet_policy": "delay",
    }
    owner.post(address, base | {"consent_policy": "skip", "holdout_percent": "10"})
    definition.refresh_from_db()
    assert definition.holdout_percent == 10
    refused = html.unescape(owner.post(address, base | {"consent_policy": "ignore", "holdout_percent": "10"}).content.decode())
    assert "nobody may miss a receipt" in refused
    assert "50" in owner.post(address, base | {"consent_policy": "skip", "holdout_percent": "51"}).content.decode()
    owner.post(address, base | {"consent_policy": "skip", "holdout_percent": ""})
    definition.refresh_from_db()
    assert definition.holdout_percent == 0, "left empty: as usual"
