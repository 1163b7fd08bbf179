from __future__ import annotations

import json
import shlex
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from events.admin import base
from events.admin.deliveries import EventDeliveryAdmin
from events.identifiers import first_id_at, new_id
from events.models import Call, DeliveryAttempt, Engagement, EventDelivery
from events.states import State
from events.tests.conftest import deliver, login
from integrations.models import Membership
from nectorbridge.testing import make

LIST = reverse("admin:events_eventdelivery_changelist")


def page(delivery: EventDelivery, verb: str = "change") -> str:
    return reverse(f"admin:events_eventdelivery_{verb}", args=[delivery.pk])


def test_the_list_shows_state_reason_and_customer_in_words(owner, definition):
    deliver(definition, status="skipped", reason="no_identity")
    text = owner.get(LIST).content.decode()
    assert "Skipped" in text and "The customer has no value for the common property" in text and "Asha Rao" in text


def test_another_merchants_staff_see_nothing_anywhere(stranger, definition):
    delivery = deliver(definition, status="failed")
    for query in ("", f"?q={delivery.pk}", "?q=asha@example.com", f"?integration__id__exact={definition.integration_id}"):
        assert "Asha Rao" not in stranger.get(LIST + query).content.decode()
    assert stranger.get(page(delivery)).status_code == 302
    assert stranger.get(page(delivery, "retry")).status_code == 403
    assert stranger.post(page(delivery, "retry"), {"_form_submitted": "on"}).status_code == 403
    delivery.refresh_from_db()
    assert delivery.status == "failed"


@pytest.mark.parametrize("state", ["queued", "sent", "failed", "held"])
@pytest.mark.parametrize("status", ["", "&status__exact={state}"])
@pytest.mark.parametrize(
    "query",
    [
        "integration__id__exact={integration}",
        "definition__id__exact={definition}",
        "integration__id__exact={own}&integration__id__exact={integration}",
        "integration__id__exact={integration}&integration__id__exact={own}",
        "integration__id__exact={own}&definition__id__exact={definition}",
        "customer_ref__exact=c1&definition__id__exact={definition}",
        "reason__exact=refused&integration__id__exact={integration}",
        "merchant__id__exact={merchant}&customer_ref__exact=c1",
    ],
)
def test_no_filter_leads_to_another_merchants_rows_or_to_their_number(definition, query, status, state):
    own = make.definition(make.integration(make.merchant("own")))
    for number in range(3):
        deliver(definition, status=state, reason="refused", customer_ref="c1", recipient={"name": f"Foreign {number}"})
    client = login("someone", own.integration.merchant)
    values = {
        "integration": definition.integration_id,
        "definition": definition.pk,
        "merchant": definition.integration.merchant_id,
    }
    address = f"{LIST}?{query}{status}".format(own=own.integration_id, state=state, **values)
    answer = client.get(address)
    assert answer.status_code == 200 and "Foreign" not in answer.content.decode()
    assert answer.context["cl"].result_count == 0


@pytest.mark.parametrize(
    "query", ["integration__id__exact={}", "integration__id__exact={}&status__exact=sent", "definition__id__exact={}"]
)
def test_a_filter_with_a_single_choice_leaves_the_page_its_own_rows(definition, monkeypatch, query):
    monkeypatch.setattr(EventDeliveryAdmin, "list_per_page", 2)
    own = make.definition(make.integration(make.merchant("own")))
    older = [deliver(own, status="sent").pk for _number in range(2)]
    for _number in range(4):
        deliver(definition, status="sent")
    key = own.pk if "definition" in query else own.integration_id
    found = login("someone", own.integration.merchant).get(f"{LIST}?{query.format(key)}").context["cl"]
    assert [row.pk for row in found.result_list] == older[::-1] and found.result_count == 2


def test_filters_offer_only_the_users_own_integrations(stranger, definition):
    deliver(definition)
    assert "CleverTap" not in stranger.get(LIST).content.decode()


@pytest.mark.parametrize("form", [str, lambda key: key.hex])
def test_a_delivery_is_found_by_its_id_with_and_without_dashes(owner, definition, form):
    wanted, other = deliver(definition, event_name="Wanted"), deliver(definition, event_name="Unwanted other")
    text = owner.get(LIST, {"q": form(wanted.pk)}).content.decode()
    assert page(wanted) in text and page(other) not in text


@pytest.mark.parametrize("term", ["vik@example.com", "VIK@example.com", "v-9"])
def test_a_customer_is_found_by_email_and_id(owner, definition, term):
    wanted = deliver(definition, recipient={"email": "vik@example.com", "customer_id": "v-9"})
    other = deliver(definition)
    text = owner.get(LIST, {"q": term}).content.decode()
    assert page(wanted) in text and page(other) not in text


def test_a_period_is_days_of_the_merchants_zone(owner, definition):
    late = datetime(2026, 3, 1, 18, 29, tzinfo=UTC)  # 23:59 in Kolkata
    first = deliver(definition, id=uuid.UUID(int=first_id_at(late).int + 1), created_at=late)
    second = deliver(definition, id=uuid.UUID(int=first_id_at(late + timedelta(minutes=1)).int + 1))
    text = owner.get(LIST, {"created_at_from": "2026-03-01", "created_at_to": "2026-03-01"}).content.decode()
    assert page(first) in text and page(second) not in text


def test_several_states_can_be_chosen_at_once(owner, definition):
    rows = {state: deliver(definition, status=state) for state in ("queued", "held", "sent")}
    text = owner.get(f"{LIST}?status__exact=queued&status__exact=held").content.decode()
    assert [page(row) in text for row in rows.values()] == [True, True, False]


def test_a_huge_list_is_not_counted_to_its_end(owner, definition, monkeypatch):
    monkeypatch.setattr(base, "COUNT_LIMIT", 3)
    monkeypatch.setattr(EventDeliveryAdmin, "list_per_page", 2)
    for _number in range(5):
        deliver(definition)
    assert "more than 3 deliveries" in owner.get(LIST).content.decode()


def pages(client, query):
    """Return the ids of each page, from the newest on, by following "Older"; and those on the way back."""
    forth, back = [], []
    address = f"{LIST}?{query}"
    while address:
        changelist = client.get(address).context["cl"]
        forth.append([row.pk for row in changelist.result_list])
        last, address = changelist, changelist.paginator.older and LIST + changelist.paginator.older
    while last.paginator.newer:
        last = client.get(LIST + last.paginator.newer).context["cl"]
        back.insert(0, [row.pk for row in last.result_list])
    return forth, [*back, forth[-1]]


FILTERS = [
    "",
    "status__exact=failed",
    "status__exact=failed&status__exact=skipped",
    "status__exact=queued&status__exact=sent&status__exact=held",
    "reason__exact=no_identity",
    "is_test__exact=1",
    "portal=pos",
    "portal=app&status__exact=failed&status__exact=queued",
    "portal=online_store",
    "portal=-",
    "portal=nowhere",
    "q=ASHA@example.com",
    "created_at_from=2020-01-01&status__exact=sent",
]


@pytest.mark.parametrize("query", FILTERS)
@pytest.mark.parametrize("who", ["owner", "of_two", "root"])
def test_pages_show_each_matching_row_once_in_order_forth_and_back(definition, monkeypatch, query, who):
    monkeypatch.setattr(EventDeliveryAdmin, "list_per_page", 3)
    other = make.definition(make.integration(make.merchant("second")))
    for number in range(32):
        status = State.values[number % 8]
        deliver(
            (definition, other)[number // 8 % 2],
            status=status,
            reason={"failed": "refused", "skipped": "no_identity"}.get(status, ""),
            is_test=number % 3 == 0,
            portal=("", "pos", "online_store", "app", "pos")[number % 5],
            recipient={"email": "Asha@Example.com" if number % 2 else "b@example.com", "customer_id": str(number)},
        )
    client = login("someone", definition.integration.merchant)
    user = get_user_model().objects.get(username="someone")
    if who == "of_two":
        Membership.objects.create(merchant=other.integration.merchant, user=user)
    get_user_model().objects.filter(pk=user.pk).update(is_superuser=who == "root")
    values = [part.split("=") for part in query.split("&") if part]
    wanted = EventDelivery.objects.all() if who != "owner" else EventDelivery.objects.filter(definition=definition)
    for name in ("status", "reason", "is_test"):
        if chosen := [value for key, value in values if key == f"{name}__exact"]:
            wanted = wanted.filter(**{f"{name}__in": chosen})
    for portal in [value for key, value in values if key == "portal"]:
        wanted = wanted.filter(portal={"-": ""}.get(portal, portal))
    if "q=" in query:
        wanted = wanted.filter(recipient__email="Asha@Example.com")
    forth, back = pages(client, query)
    assert [pk for page_ids in forth for pk in page_ids] == list(wanted.order_by("-id").values_list("pk", flat=True))
    assert back == forth and all(len(page_ids) == 3 for page_ids in forth[:-1])


@pytest.mark.parametrize("place", ["2", "before-nonsense", "after-", "sideways-1", "\x00"])
def test_an_address_that_names_no_page_shows_the_first_one(owner, definition, place):
    row = deliver(definition)
    assert page(row) in owner.get(LIST, {"p": place}).content.decode()


def test_a_page_behind_the_last_row_leads_back_to_the_newest(owner, definition):
    row = deliver(definition)
    text = owner.get(LIST, {"p": f"before-{row.pk.hex}"}).content.decode()
    assert page(row) not in text and "Newest" in text


def statements(client, address, *, about="events_"):
    """Return how many queries touched the outbox. Permission checks ask for memberships besides."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return sum(about in query["sql"] for query in captured)


def test_the_list_needs_few_queries_however_many_rows(owner, definition):
    for number in range(30):
        deliver(make.definition(definition.integration, name=f"Event {number}"))
    assert statements(owner, LIST) <= 8


def test_an_empty_list_says_what_to_do(owner, definition):
    assert "No deliveries yet" in owner.get(LIST).content.decode()
    assert "Nothing matches" in owner.get(LIST, {"q": "nobody"}).content.decode()


def test_nobody_adds_changes_or_deletes_history(definition, db):
    delivery = deliver(definition)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    assert client.get(reverse("admin:events_eventdelivery_add")).status_code == 403
    assert client.post(page(delivery, "delete"), {"post": "yes"}).status_code == 403
    assert client.post(page(delivery), {"status": "sent"}).status_code == 403
    assert EventDelivery.objects.get().status == "queued"


def test_the_page_tells_the_story_and_escapes_what_the_provider_said(owner, definition):
    delivery = deliver(definition, status="sent", sent_at=timezone.now(), payload={"title": "<b>bold</b>"}, attempt_count=1)
    now = timezone.now()
    call = Call.objects.create(
        integration=definition.integration, started_at=now, lease_until=now, records=37, request="POST x", response="<script>1"
    )
    DeliveryAttempt.objects.create(delivery=delivery, call=call, number=1, started_at=now, outcome="accepted", http_status=200)
    text = owner.get(page(delivery)).content.decode()
    assert "CleverTap accepted it" in text and "&lt;script&gt;1" in text and "&lt;b&gt;bold" in text
    assert "<script>1" not in text and "CANARY-PASSCODE" not in text
    assert "37" in text and "Asia/Kolkata" in text


def test_the_page_links_the_same_customers_neighbours_only(owner, definition):
    here, near, far = deliver(definition), deliver(definition), deliver(definition, customer_ref="c2")
    text = owner.get(page(here)).content.decode()
    assert page(near) in text and page(far) not in text


def test_the_delivery_page_needs_few_queries(owner, definition):
    delivery = deliver(definition)
    for _number in range(12):
        deliver(definition)
    assert statements(owner, page(delivery)) <= 12


@pytest.mark.parametrize(("verb", "before", "after"), [("retry", "failed", "queued"), ("cancel", "queued", "cancelled")])
def test_owners_act_by_post_and_get_changes_nothing(owner, definition, verb, before, after):
    delivery = deliver(definition, status=before)
    assert owner.get(page(delivery, verb)).status_code == 200
    delivery.refresh_from_db()
    assert delivery.status == before
    assert owner.post(page(delivery, verb), {"_form_submitted": "on"}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.status == after


def test_viewers_see_but_do_not_act(viewer, definition):
    delivery = deliver(definition, status="failed")
    text = viewer.get(page(delivery)).content.decode()
    assert page(delivery, "retry") not in text
    assert viewer.post(page(delivery, "retry"), {"_form_submitted": "on"}).status_code == 403
    selected = {"action": "retry_selected", "_selected_action": [str(delivery.pk)]}
    viewer.post(LIST, selected)
    delivery.refresh_from_db()
    assert delivery.status == "failed"


def test_selected_rows_are_retried_where_their_state_allows_it(owner, definition):
    failed, sent = deliver(definition, status="failed"), deliver(definition, status="sent")
    selected = {"action": "retry_selected", "_selected_action": [str(failed.pk), str(sent.pk)], "confirmed": "1"}
    assert "1 delivery is back in the queue" in owner.post(LIST, selected, follow=True).content.decode()
    failed.refresh_from_db()
    sent.refresh_from_db()
    assert (failed.status, sent.status) == ("queued", "sent")


@pytest.mark.parametrize("key", ["nonsense", str(new_id())], ids=["no_id", "nobodys_id"])
def test_an_address_that_names_no_delivery_leads_home(owner, key):
    assert owner.get(reverse("admin:events_eventdelivery_change", args=[key])).status_code == 302


@pytest.mark.parametrize("person", [{}, {"email": "asha@example.com"}, {"name": "Asha", "customer_id": ""}, None])
def test_a_delivery_to_someone_of_whom_little_is_known_has_a_page(owner, definition, person):
    delivery = deliver(definition, recipient=person or {}, status="skipped", reason="no_identity")
    assert "Not sent" in owner.get(page(delivery)).content.decode()


def test_opens_and_clicks_are_on_the_timeline_and_in_the_list(owner, definition):
    delivery = deliver(definition, status="sent")
    Engagement.objects.create(delivery=delivery, kind="open", source="test")
    assert "opened" in owner.get(LIST).content.decode()
    Engagement.objects.create(delivery=delivery, kind="click", source="test")
    assert "clicked" in owner.get(LIST).content.decode()
    text = owner.get(page(delivery)).content.decode()
    assert text.index("Opened") < text.index("Clicked")


def test_what_a_machine_opened_does_not_count_in_the_list(owner, definition):
    Engagement.objects.create(delivery=deliver(definition, status="sent"), kind="open", source="test", is_machine=True)
    assert "opened" not in owner.get(LIST).content.decode()


def test_an_empty_list_speaks_of_the_merchants_own_coins(owner, definition):
    assert "As soon as a customer earns points" in owner.get(LIST).content.decode()


def test_a_long_reason_is_cut_in_the_list_and_whole_on_the_page(owner, definition):
    delivery = deliver(definition, status="skipped", detail="It is so. " * 20 + "The very end.")
    assert "The very end" not in owner.get(LIST).content.decode()
    assert "The very end" in owner.get(page(delivery)).content.decode()


def test_a_neighbour_that_is_a_test_says_so(owner, definition):
    delivery = deliver(definition, status="sent")
    deliver(definition, status="sent", is_test=True)
    assert "(test)" in owner.get(page(delivery)).content.decode()


def test_an_administrator_finds_the_failures_of_one_integration_among_others(definition):
    wanted = deliver(definition, status="failed", reason="refused")
    other = deliver(make.definition(make.integration(make.merchant("second"))), status="failed", reason="refused")
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    for reason in ({}, {"reason__exact": "refused"}):
        query = {"status__exact": "failed", "integration__id__exact": definition.integration_id, **reason}
        text = client.get(LIST, query).content.decode()
        assert page(wanted) in text and page(other) not in text


@pytest.mark.parametrize("value", ["nonsense", "999999", ""])
def test_an_address_with_no_real_integration_breaks_nothing(definition, value):
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    query = {"status__exact": "failed", "integration__id__exact": value}
    assert client.get(LIST, query).status_code in (200, 302)


def test_the_request_can_be_copied_as_a_command_without_secrets(owner, definition):
    sender = definition.integration
    sender.secrets = {**sender.secrets, **{item.name: "CANARY-KEY-4f2a9" for item in sender.contract.fields if item.secret}}
    sender.save()
    row = deliver(definition, status="sent", payload={"title": "it's $(touch x) `y`", "coins": 5})
    page = owner.get(reverse("admin:events_eventdelivery_change", args=[row.pk]))
    (shown,) = page.context["repacked"].requests
    words = shlex.split(shown.curl)
    assert words[:4] == ["curl", "--request", "POST", shown.url] and json.loads(words[-1])["d"][0]["evtData"]["coins"] == 5
    assert json.loads(words[-1])["d"][0]["evtData"]["title"] == "it's $(touch x) `y`", "one word for the shell, whatever is in it"
    assert "X-CleverTap-Passcode: YOUR_SECRET" in words and "CANARY" not in page.content.decode()
    assert escape(shown.curl) in page.content.decode()
