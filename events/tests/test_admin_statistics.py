"""The statistics pages: numbers, rates, changes, reasons, machines apart, files, and whose they are."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events.admin.statistics_values import change
from events.models import Engagement, EventDelivery
from events.tests.test_retention import deliver as deliver_before
from nectorbridge.testing import make

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon():
    with time_machine.travel(NOON, tick=False):
        yield


def deliver(definition, days=1.0, status="sent", reason="", **values):
    import uuid

    from events.identifiers import first_id_at, new_id

    at = NOON - timedelta(days=days)
    key = uuid.UUID(int=first_id_at(at).int + new_id().int % 2**60)
    return deliver_before(definition, 0, id=key, created_at=at, occurred_at=at, status=status, reason=reason, **values)


def came(row, kind="open", days=0.5, **values):
    return Engagement.objects.create(delivery=row, kind=kind, occurred_at=NOON - timedelta(days=days), source="t", **values)


def of_integration(integration):
    return reverse("admin:events_statistics", args=[integration.pk])


def of_event(definition):
    return reverse("admin:events_eventdefinition_statistics", args=[definition.pk])


@pytest.fixture
def history(definition):
    row = deliver(definition)
    EventDelivery.objects.filter(pk=row.pk).update(sent_at=row.occurred_at + timedelta(seconds=3))
    deliver(definition)
    deliver(definition, status="skipped", reason="no_consent")
    deliver(definition, status="skipped", reason="holdout")
    deliver(definition, status="failed", reason="refused")
    deliver(definition, status="queued")
    deliver(definition, days=8)
    deliver(definition, is_test=True)
    came(row)
    came(row, days=0.4)
    came(row, is_machine=True)
    came(row, "click", days=0.3)
    came(row, "unsubscribe", days=0.2)
    return row


@pytest.mark.parametrize("page", [of_event, of_integration])
def test_the_numbers(owner, definition, history, page):
    context = owner.get(page(definition if page is of_event else definition.integration)).context
    tiles = {tile.label: tile for tile in context["tiles"]}
    assert [tile.text for tile in tiles.values()] == ["2", "1", "1", "5 seconds"]
    assert tiles["Sent"].change == "+100 % against 1 in the period before"
    assert tiles["Unique opens"].hint == "50.0 % of what was sent"
    assert [(row.label, row.number, row.share) for row in context["funnel"]] == [
        ("Recorded", 6, "100.0 %"),
        ("Sent", 2, "33.3 %"),
        ("Opened", 1, "16.7 %"),
        ("Clicked", 1, "16.7 %"),
    ]
    groups = {heading: {row.label: row.number for row in rows} for heading, rows in context["not_sent"]}
    assert sum(groups["Skipped"].values()) == 2 and len(groups["Skipped"]) == 2
    assert list(groups["Failed"].values()) == [1] and groups["Not at an end, or withdrawn"] == {"Queued": 1}
    back = {row.label: (row.people, row.unique, row.machines) for row in context["came_back"]}
    assert back == {"Opens": ("2", "1", "1"), "Clicks": ("1", "1", "0"), "Unsubscribes": ("1", "1", "0")}
    assert context["days"][1].cells[:5] == (6, 2, 1, 2, 1)
    chart = context["over_time"]
    assert [item["label"] for item in json.loads(chart.data)["datasets"]] == ["Sent", "Unique opens", "Unique clicks"]


def test_each_number_leads_to_its_rows(owner, definition, history):
    context = owner.get(of_event(definition)).context
    links = [(row.url, row.number) for _heading, rows in context["not_sent"] for row in rows]
    links += [(row.url, row.number) for row in context["funnel"][:2]]
    assert len(links) == 6
    for url, number in links:
        assert owner.get(url).context["cl"].result_count == number, url


def test_an_integration_has_its_events_side_by_side(owner, integration, definition, history):
    other = make.definition(integration, trigger="coupon_create")
    deliver(other)
    context = owner.get(of_integration(integration)).context
    assert [line.label for line in context["events"]] == [definition.name, other.name]
    assert [line.cells[1] for line in context["events"]] == [2, 1]
    assert owner.get(context["events"][1].url).context["tiles"][0].text == "1"
    assert context["by_event"].rows == [[definition.name, 2, 1, 1], [other.name, 1, 0, 0]]


@pytest.mark.parametrize(("asked", "sent"), [
    ({"period": "today"}, "0"), ({"period": "7"}, "2"), ({"period": "30"}, "3"), ({"period": "90"}, "3"),
    ({"period": "range", "from": "2026-03-02", "to": "2026-03-02"}, "1"),
    ({"period": "range", "from": "nonsense", "to": "2026-03-02"}, "2"), ({"period": "x"}, "2"),
    ({"period": "range", "from": "2025-03-11"}, "3"),
])  # fmt: skip
def test_any_period(owner, definition, history, asked, sent):
    page = owner.get(of_event(definition), asked)
    assert page.status_code == 200
    assert (page.context["tiles"][0].text if not page.context["is_empty"] else "0") == sent


def test_a_file_has_a_line_for_each_event_and_day_and_no_formula(owner, integration, definition, history):
    definition.__class__.objects.filter(pk=definition.pk).update(name="=HYPERLINK(1)")
    answer = owner.get(of_integration(integration), {"period": "7", "format": "csv"})
    assert answer["Content-Type"].startswith("text/csv") and "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [(row["sent"], row["unique opens"], row["opens by machines"]) for row in rows] == [("2", "0", "0"), ("0", "1", "1")]
    assert rows[0]["event"] == "'=HYPERLINK(1)" and rows[0]["from"].endswith("+00:00")


def test_without_any_history_the_page_says_what_to_do(owner, integration, definition):
    words = unescape(owner.get(of_integration(integration)).content.decode())
    assert "Nothing was recorded yet" in words
    deliver(definition, days=60)
    words = unescape(owner.get(of_event(definition)).content.decode())
    assert "Nothing happened in this period" in words and "Choose a longer period" in words


def test_strangers_and_those_who_are_not_logged_in_see_nothing(stranger, client, definition, history):
    for address in (of_event(definition), of_integration(definition.integration)):
        assert stranger.get(address).status_code == 404 and stranger.get(address, {"format": "csv"}).status_code == 404
        assert client.get(address).status_code == 302
    assert stranger.get(reverse("admin:events_statistics", args=[10**6])).status_code == 404


def test_the_pages_are_among_the_tabs(owner, integration, definition):
    for address, of in ((of_event(definition), definition), (of_integration(integration), integration)):
        tabs = owner.get(address).context["tabs"]
        assert [tab.label for tab in tabs if tab.is_active] == ["Statistics"], of
    page = owner.get(reverse("admin:events_launch", args=[integration.pk]))
    assert any(tab.url == of_integration(integration) for tab in page.context["tabs"])


def test_a_year_costs_as_few_statements_as_a_day(owner, integration, definition, history):
    def statements(asked):
        owner.get(of_integration(integration), asked)
        with CaptureQueriesContext(connection) as caught:
            owner.get(of_integration(integration), asked)
        return len(caught)

    assert statements({"period": "range", "from": "2025-03-11"}) == statements({"period": "today"})


def test_charts_have_axes_a_legend_and_a_table(owner, definition, history):
    page = owner.get(of_event(definition))
    options = json.loads(page.context["over_time"].options)
    assert options["scales"]["x"]["title"]["text"] == "day" and options["plugins"]["legend"]["display"]
    words = page.content.decode()
    assert "The same as a table" in words and re.search(r'<canvas class="chart"', words) and "onclick" not in words


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (3299, 3315, "about the same against 3,315 in the period before"),
        (3315, 3315, "no change against 3,315 in the period before"),
        (40, 2, "+1900 % against 2 in the period before"),
        (41, 2, "against 2 in the period before"),
        (1, 0, "nothing in the period before"),
        (0, 0, ""),
    ],
)
def test_a_change_is_told_as_people_would_tell_it(now, before, words):
    assert change(now, before) == words
