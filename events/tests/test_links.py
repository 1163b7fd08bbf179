"""The public doors: what a click and an open do, for whom, and what keeps nobody from going on."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from events import destinations, engaging, rates, tracking, visits
from events.host import Consent, Host
from events.models import Engagement
from events.states import EngagementKind
from events.tests.conftest import deliver
from integrations.models import OpenTracking
from nectorbridge.testing import make
from nectorbridge.testing.together import at_once

BROWSER = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"


@pytest.fixture
def sent(definition):
    return deliver(definition, status="sent", destination="https://shop.example/coins?a=1")


@pytest.fixture
def urls(sent):
    token = tracking.token(sent.pk)
    return {"click": f"/t/c/{token}", "open": f"/t/o/{token}.gif"}


@pytest.fixture
def visitor():
    return Client(headers={"user-agent": BROWSER})


def kinds():
    return sorted(Engagement.objects.values_list("kind", "source", "is_machine"))


def test_a_click_leads_on_and_is_noted(visitor, urls, sent):
    response = visitor.get(urls["click"])
    assert response.status_code == 302 and response["Location"] == sent.destination
    assert kinds() == [("click", "link", False)]


def test_an_open_is_a_picture_that_nobody_keeps(visitor, urls):
    response = visitor.get(urls["open"])
    assert response.status_code == 200 and response["Content-Type"] == "image/gif" and response.content[:6] == b"GIF89a"
    assert "no-store" in response["Cache-Control"]
    assert kinds() == [("open", "pixel", False)]


def test_head_counts_nothing(visitor, urls):
    assert visitor.head(urls["click"]).status_code == 302 and visitor.head(urls["open"]).status_code == 200
    assert kinds() == []


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_else_is_allowed(visitor, urls, method):
    assert getattr(visitor, method)(urls["click"]).status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t[1:],
        lambda t: "",
        lambda t: t * 9,
        lambda t: "ü" * 43,
        lambda t: tracking.token(uuid.uuid4()),
    ],
)
def test_a_forged_token_is_a_plain_404(visitor, sent, change):
    forged = change(tracking.token(sent.pk)) or "x"
    for address in (f"/t/c/{forged}", f"/t/o/{forged}.gif"):
        response = visitor.get(f"{address}?url=https://evil.example/&next=https://evil.example/")
        assert response.status_code == 404 and "Location" not in response
    assert kinds() == []


def test_the_last_character_of_a_token_is_no_freedom(sent):
    token = tracking.token(sent.pk)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert [letter for letter in letters if tracking.read_token(token[:-1] + letter)] == [token[-1]]


def test_addresses_are_short(sent):
    assert len(tracking.token(sent.pk)) == 43
    assert all(len(address.encode()) < 512 for address in tracking.urls(sent.pk).values())


def test_a_new_key_retires_no_link_and_one_that_is_taken_away_does(sent, settings):
    settings.TRACKING_KEYS = []
    by_fernet = tracking.token(sent.pk)
    settings.TRACKING_KEYS = ["one-key-of-links", *settings.FERNET_KEYS]
    assert tracking.read_token(by_fernet) == sent.pk
    by_one = tracking.token(sent.pk)
    settings.TRACKING_KEYS = ["another-key-of-links", "one-key-of-links"]
    assert tracking.read_token(by_one) == sent.pk and tracking.token(sent.pk) != by_one
    settings.TRACKING_KEYS = ["another-key-of-links"]
    assert tracking.read_token(by_one) is None


@pytest.mark.parametrize("agent", [
    "Mozilla/5.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "WhatsApp/2.23.20.0", "python-requests/2.32", "curl/8.5.0", "Go-http-client/2.0", "BingPreview/1.0b",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
])  # fmt: skip
def test_a_machine_is_kept_apart(urls, agent):
    machine = Client(headers={"user-agent": agent})
    assert machine.get(urls["click"]).status_code == 302 and machine.get(urls["open"]).status_code == 200
    assert kinds() == [("click", "link", True), ("open", "pixel", True)]


@pytest.mark.parametrize("agent", [
    BROWSER,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36 Edg/130.0",
    "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36",
])  # fmt: skip
def test_a_person_is_one(urls, agent):
    Client(headers={"user-agent": agent}).get(urls["click"])
    assert kinds() == [("click", "link", False)]


@pytest.mark.parametrize("name", ["Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"])
def test_what_a_browser_fetches_ahead_is_no_click(urls, name):
    Client(headers={"user-agent": BROWSER, name: "prefetch;prerender"}).get(urls["click"])
    assert kinds() == [("click", "link", True)]


def test_an_address_of_a_picture_proxy_is_judged_and_nothing_of_it_is_kept(urls):
    visitor = Client(headers={"user-agent": BROWSER}, REMOTE_ADDR="66.249.84.12")
    visitor.get(urls["open"])
    row = Engagement.objects.values().get()
    assert row["is_machine"] and "66.249" not in str(row) and "Pixel 8" not in str(row)


class Said(Host):
    answer: str = Consent.UNKNOWN

    def consents(self, merchant_id, refs, channel=""):
        return dict.fromkeys(refs, self.answer)


@pytest.mark.parametrize(("whose", "said", "noted"), [
    (OpenTracking.EVERYBODY, Consent.UNKNOWN, 1), (OpenTracking.EVERYBODY, Consent.SUBSCRIBED, 1),
    (OpenTracking.EVERYBODY, Consent.UNSUBSCRIBED, 0), (OpenTracking.CONSENTED, Consent.UNKNOWN, 0),
    (OpenTracking.CONSENTED, Consent.SUBSCRIBED, 1), (OpenTracking.NOBODY, Consent.SUBSCRIBED, 0),
])  # fmt: skip
def test_whose_opens_are_noted_and_the_picture_is_there_in_any_case(visitor, urls, sent, monkeypatch, whose, said, noted):
    sent.merchant.open_tracking = whose
    sent.merchant.save()
    monkeypatch.setattr("events.visits.get_host", lambda: type("Host", (Said,), {"answer": said})())
    response = visitor.get(urls["open"])
    assert response.status_code == 200 and response["Content-Type"] == "image/gif"
    visitor.get(urls["click"])
    assert Engagement.objects.filter(kind="open").count() == noted and Engagement.objects.filter(kind="click").count() == 1


def test_a_failed_write_stops_nobody(visitor, urls, sent, monkeypatch, caplog):
    def broken(came):
        raise DatabaseError("disk full")

    monkeypatch.setattr(engaging, "write", broken)
    assert visitor.get(urls["click"])["Location"] == sent.destination
    assert visitor.get(urls["open"]).status_code == 200
    assert "could not be written" in caplog.text and not Engagement.objects.exists()


def test_without_a_database_somebody_is_asked_to_come_again(visitor, urls, monkeypatch):
    def away(statement, values):
        raise DatabaseError("away")

    monkeypatch.setattr("events.visits.rows_of", away)
    for address in urls.values():
        response = visitor.get(address)
        assert response.status_code == 503 and response["Retry-After"] == "60"


def test_too_many_requests_of_one_link_are_turned_away_and_no_others(visitor, urls, definition, settings):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 3
    assert [visitor.get(urls["click"]).status_code for _number in range(5)] == [302, 302, 302, 429, 429]
    assert int(visitor.get(urls["click"])["Retry-After"]) in range(1, 61)
    other = deliver(definition, destination="https://shop.example/")
    assert visitor.get(f"/t/c/{tracking.token(other.pk)}").status_code == 302
    assert visitor.get(urls["open"]).status_code == 200
    assert Engagement.objects.filter(kind="click").count() == 4


@pytest.mark.parametrize(("most", "step"), [(3, 1), (100, 1), (1000, 10)])
def test_the_limit_holds_to_a_hundredth_and_few_ask_the_cache(monkeypatch, settings, most, step):
    settings.PUBLIC_REQUESTS_PER_MINUTE = most
    asked, real = [], rates._count
    monkeypatch.setattr(rates, "_count", lambda key, number: asked.append(number) or real(key, number))
    monkeypatch.setattr(rates.time, "time", lambda: 1_800_000_000.0)
    what = f"limit of {most} {uuid.uuid4()}"
    answers = [rates.is_too_often(what) for _number in range(most + 2 * step)]
    assert answers.index(True) == most + step - 1 and all(answers[most + step - 1 :])
    assert set(asked) == {step} and len(asked) == most // step + 2
    assert not rates.is_too_often(f"another {what}")
    monkeypatch.setattr(rates.time, "time", lambda: 1_800_000_060.0)
    assert not rates.is_too_often(what), "the next minute"


def test_a_cache_that_is_away_keeps_nobody_out_and_is_left_alone_for_a_while(monkeypatch, settings):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 50
    asked = []

    class Away:
        def add(self, *args, **kwargs):
            asked.append(args)
            raise ConnectionError

        incr = add

    monkeypatch.setattr(rates, "cache", Away())
    monkeypatch.setattr(rates, "_asked_again_at", 0.0)
    assert [rates.is_too_often("x") for _number in range(5)] == [False] * 5 and len(asked) == 1
    monkeypatch.setattr(rates, "_asked_again_at", 0.0)


@pytest.mark.django_db(transaction=True)
def test_a_thousand_opens_and_clicks_at_once_count_exactly(definition, settings):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 0
    row = deliver(definition, status="sent", destination="https://shop.example/")
    token, failed = tracking.token(row.pk), []

    def visit(number):
        visitor = Client(headers={"user-agent": BROWSER})
        for _number in range(125):
            response = visitor.get(f"/t/c/{token}" if number % 2 else f"/t/o/{token}.gif")
            if response.status_code != (302 if number % 2 else 200):
                failed.append(response.status_code)

    at_once(visit, range(8))
    assert not failed
    assert Engagement.objects.filter(kind="click").count() == 500 == Engagement.objects.filter(kind="open").count()


@pytest.mark.django_db(transaction=True)
def test_one_that_cannot_be_written_takes_no_other_along(definition, monkeypatch, caplog):
    rows = [deliver(definition, status="sent", destination="https://shop.example/") for _number in range(4)]
    broken, real, begin, sizes = rows[2].pk, engaging.write, threading.Event(), []

    def slow(came):
        begin.wait(5)
        time.sleep(0.05)  # the others gather meanwhile
        sizes.append(len(came))
        if any(item.delivery_id == broken for item in came):
            raise DatabaseError("one of these cannot be written")
        real(came)

    monkeypatch.setattr(engaging, "write", slow)
    threading.Timer(0.2, begin.set).start()
    answers: list[int] = []

    def visit(row):
        answers.append(Client(headers={"user-agent": BROWSER}).get(f"/t/c/{tracking.token(row.pk)}").status_code)

    at_once(visit, rows)
    assert answers == [302] * 4
    assert set(Engagement.objects.values_list("delivery", flat=True)) == {row.pk for row in rows} - {broken}
    assert caplog.text.count("could not be written") == 1 and max(sizes) > 1


@pytest.mark.django_db(transaction=True)
def test_visits_of_one_moment_cost_as_many_statements_as_one(definition, django_assert_max_num_queries):
    rows = [deliver(definition, status="sent", destination="https://shop.example/") for _number in range(6)]
    now = timezone.now()
    kinds_of = [EngagementKind.CLICK, EngagementKind.OPEN] * 3
    with django_assert_max_num_queries(3):  # whose they are, what their customers agreed to, what happened
        found = visits.follow([visits.Visit(row.pk, kind, now, False, True) for row, kind in zip(rows, kinds_of, strict=True)])
    assert [sent.destination for sent in found] == ["https://shop.example/"] * 6
    assert Engagement.objects.filter(kind="click").count() == 3 == Engagement.objects.filter(kind="open").count()


def test_what_is_told_twice_is_one_row(sent):
    now = timezone.now()
    told = engaging.Came(sent.pk, "open", "stream", now, once="uuid-1")
    engaging.write([told, told, engaging.Came(sent.pk, "open", "stream", now)])
    engaging.write([told])
    assert Engagement.objects.count() == 2


@pytest.mark.parametrize(("address", "expected"), [
    ("https://shop.example/", "https://shop.example/?utm_source=clevertap&utm_medium=email&utm_campaign=Coins+earned"),
    ("https://shop.example/p?a=1#x", "https://shop.example/p?a=1&utm_source=clevertap&utm_medium=email&utm_campaign=Coins+earned#x"),
    ("https://shop.example/?utm_source=own", "https://shop.example/?utm_source=own&utm_medium=email&utm_campaign=Coins+earned"),
    ("", ""), ("mailto:x@y.example", "mailto:x@y.example"), ("http://[", "http://["), ("https://a.example/" + "x" * 470,) * 2,
])  # fmt: skip
def test_utm_parameters(address, expected):
    assert destinations.with_utm(address, "clevertap", "email", "Coins earned") == expected


def test_utm_parameters_are_fixed_when_recorded(db, visitor):
    from events import Activity, record

    merchant = make.merchant(website="https://shop.example")
    definition = make.definition(make.integration(merchant), adds_utm=True)
    row = record(
        Activity(merchant.pk, "walletreward_create", "c1", make.PERSON, {"coins": 5}, timezone.now(), "k1")
    )[0]  # fmt: skip
    definition.adds_utm = False
    definition.save()
    location = visitor.get(f"/t/c/{tracking.token(row.pk)}")["Location"]
    assert location == row.destination
    assert f"utm_source={definition.integration.provider}" in location and "utm_campaign=" in location


def test_the_settings_have_keys_of_links():
    assert settings.TRACKING_KEYS == [] or all(settings.TRACKING_KEYS)
