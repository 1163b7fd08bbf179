from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events import bulk, bulk_run
from events.admin.deliveries import EventDeliveryAdmin
from events.admin.delivery_filter import PARAMETERS
from events.models import BulkAction, EventDelivery
from events.tests.conftest import deliver, login
from integrations.models import Membership
from nectorbridge.testing import make

LIST = reverse("admin:events_eventdelivery_changelist")
RUNS = reverse("admin:events_bulkaction_changelist")
EXPORT = reverse("admin:events_eventdelivery_export")


def page(delivery: EventDelivery, verb: str = "change") -> str:
    return reverse(f"admin:events_eventdelivery_{verb}", args=[delivery.pk])


def everything(what: str, query: str = "") -> str:
    return reverse("admin:events_eventdelivery_all", args=[what]) + query


def run_page(run: BulkAction, verb: str = "change") -> str:
    return reverse(f"admin:events_bulkaction_{verb}", args=[run.pk])


def token_in(text: str) -> str:
    return re.search(r'name="token" value="([0-9a-f-]{36})"', text)[1]


def ticked(client: Client, what: str, rows: list[EventDelivery], **more: str):
    chosen = {"action": f"{what}_selected", "_selected_action": [str(row.pk) for row in rows]}
    return client.post(LIST, {**chosen, **more}, follow=True)


# --- One delivery --------------------------------------------------------------------------------------------------------
def test_a_replay_is_asked_about_made_once_and_linked_from_both_pages(owner, definition):
    old = deliver(definition, status="sent", sent_at=timezone.now())
    text = owner.get(page(old, "replay")).content.decode()
    assert "This delivery was sent already" in text and EventDelivery.objects.count() == 1

    answers = [owner.post(page(old, "replay"), {"token": token_in(text)}) for _click in range(2)]

    new = EventDelivery.objects.get(replay_of=old)
    assert [answer["Location"] for answer in answers] == [page(new)] * 2
    assert page(new) in owner.get(page(old)).content.decode()
    story = owner.get(page(new)).content.decode()
    assert page(old) in story and "This is a replay of the delivery of" in story and "a replay: it carries what" in story


def test_whether_it_arrived_is_a_question_that_is_asked_before_a_replay(owner, definition):
    old = deliver(definition, status="failed", reason="uncertain", uncertain_count=3)
    assert "Nobody knows whether this delivery arrived" in owner.get(page(old, "replay")).content.decode()
    plain = deliver(definition, status="failed", reason="exhausted")
    assert "twice" not in owner.get(page(plain, "replay")).content.decode()


def test_what_waits_offers_no_replay(owner, definition):
    old = deliver(definition, status="queued")
    assert page(old, "replay") not in owner.get(page(old)).content.decode()
    assert "there is nothing to replay" in owner.get(page(old, "replay")).content.decode()
    owner.post(page(old, "replay"), {})
    assert EventDelivery.objects.count() == 1


def test_a_replay_whose_first_row_is_gone_says_so(owner, definition):
    new = deliver(definition, replay_of_id=uuid.uuid4())
    assert "no longer kept" in owner.get(page(new)).content.decode()


@pytest.mark.parametrize("verb", ["retry", "replay"])
def test_why_nothing_is_sent_again_is_said_with_what_to_do(owner, definition, verb):
    old = deliver(definition, status="failed")
    definition.enabled = False
    definition.save()
    answer = owner.post(page(old, verb), {"_form_submitted": "on"}, follow=True).content.decode()
    assert "Not touched: the event is switched off. Switch it on, then send again." in answer
    assert EventDelivery.objects.get().status == "failed"


def test_a_customer_who_unsubscribed_is_skipped_and_the_answer_says_so(owner, definition, settings):
    settings.NECTORBRIDGE_HOST = "events.tests.test_replay.SayingHost"
    from events.tests.test_replay import SayingHost

    SayingHost.said, SayingHost.people = {"c1": "unsubscribed"}, {}
    old = deliver(definition, status="failed")
    assert "the customer unsubscribed" in owner.post(page(old, "retry"), {"_form_submitted": "on"}, follow=True).content.decode()
    text = owner.get(page(old)).content.decode()
    assert "Not sent: The customer did not consent" in text


# --- Those that are ticked -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("what", "states", "title", "said"),
    [
        ("retry", ("failed", "cancelled", "sent"), "Retry 2 deliveries?", "2 deliveries are back in the queue"),
        ("replay", ("sent", "failed", "queued"), "Replay 2 deliveries?", "2 deliveries are back in the queue"),
        ("cancel", ("queued", "held", "sent"), "Cancel 2 deliveries?", "2 deliveries are withdrawn"),
    ],
)
def test_ticked_rows_are_asked_about_with_their_number_and_then_done_once(owner, definition, what, states, title, said):
    rows = [deliver(definition, status=state) for state in states]
    before = list(EventDelivery.objects.values())

    text = ticked(owner, what, rows).content.decode()

    assert title in text and "1 of the ticked ones stay as they are" in text
    assert list(EventDelivery.objects.values()) == before, "nothing happens before the answer"
    token = token_in(text)
    assert said in ticked(owner, what, rows[:2], confirmed="1", token=token).content.decode()
    after = list(EventDelivery.objects.order_by("pk").values())
    ticked(owner, what, rows[:2], confirmed="1", token=token)
    assert list(EventDelivery.objects.order_by("pk").values()) == after, "a double click changes nothing more"


def test_ticked_rows_that_were_sent_already_are_named(owner, definition):
    rows = [
        deliver(definition, status="sent"),
        deliver(definition, status="failed", reason="uncertain"),
        deliver(definition, status="failed"),
    ]
    assert "2 of them were sent already, or may have arrived" in ticked(owner, "replay", rows).content.decode()


def test_ticked_rows_of_which_none_fits_have_no_button(owner, definition):
    text = ticked(owner, "cancel", [deliver(definition, status="sent")]).content.decode()
    assert 'name="confirmed"' not in text and "Cancel 0 deliveries?" in text


# --- All that match ------------------------------------------------------------------------------------------------------
def test_all_that_match_are_counted_before_and_one_run_is_made_by_two_clicks(owner, definition):
    for _number in range(3):
        deliver(definition, status="failed")
    deliver(definition, status="sent")
    address = everything("retry", "?status__exact=failed")
    assert address.replace("&", "&amp;") in owner.get(f"{LIST}?status__exact=failed").content.decode()

    text = owner.get(address).content.decode()
    assert "Retry 3 deliveries?" in text and not BulkAction.objects.exists()
    assert "Failed" in text

    answers = [owner.post(address, {"token": token_in(text)}) for _click in range(2)]
    run = BulkAction.objects.get()
    assert [answer["Location"] for answer in answers] == [run_page(run)] * 2
    assert run.asked_by.username == "owner" and run.filter == {
        "statuses": ["failed"],
        "merchant_id": definition.integration.merchant_id,
    }
    assert "See the progress" in owner.get(LIST).content.decode()
    assert "0 of 3 deliveries" in owner.get(run_page(run)).content.decode()

    bulk_run.run(run.pk)
    shown = owner.get(run_page(run)).content.decode()
    assert "Done" in shown and "Back in the queue" in shown and run_page(run, "stop") not in shown
    assert "See the progress" not in owner.get(LIST).content.decode()
    assert LogEntry.objects.filter(object_id=str(run.pk)).exists()
    assert run_page(run) in owner.get(RUNS).content.decode()


def test_a_huge_count_is_never_a_full_one(owner, definition, monkeypatch):
    monkeypatch.setattr(bulk, "COUNT_LIMIT", 2)
    monkeypatch.setattr("events.admin.again.COUNT_LIMIT", 2)
    for _number in range(4):
        deliver(definition, status="failed")
    text = owner.get(everything("retry")).content.decode()
    assert "Retry more than 2 deliveries?" in text
    owner.post(everything("retry"), {"token": token_in(text)})
    run = BulkAction.objects.get()
    assert (run.total, run.is_more) == (2, True)
    assert "0 of more than 2 deliveries" in owner.get(run_page(run)).content.decode()
    bulk_run.run(run.pk)
    assert "4 deliveries" in owner.get(run_page(run)).content.decode()


def test_a_count_that_takes_too_long_is_no_number_and_hinders_nobody(owner, definition, monkeypatch):
    failed = deliver(definition, status="failed")
    deliver(definition, status="sent")
    monkeypatch.setattr(bulk, "COUNT_SECONDS", -1.0)
    monkeypatch.setattr("events.bulk_filter.QUICK_SECONDS", 0.0)
    text = owner.get(everything("retry")).content.decode()
    assert "Retry an unknown number of deliveries?" in text
    owner.post(everything("retry"), {"token": token_in(text)})
    run = BulkAction.objects.get()
    assert "0 of an unknown number of deliveries" in owner.get(run_page(run)).content.decode()
    bulk_run.run(run.pk)
    failed.refresh_from_db()
    assert failed.status == "queued"


@pytest.mark.parametrize("what", ["retry", "replay", "cancel"])
def test_a_list_that_matches_nothing_starts_nothing(owner, definition, what):
    deliver(definition, status="sending")
    assert "matches nothing" in owner.get(everything(what)).content.decode()


def test_nothing_starts_for_a_filter_that_is_not_known(owner, definition):
    deliver(definition, status="failed")
    address = everything("retry", "?payload__coins=50")
    assert "cannot be applied to all" in owner.get(address, follow=True).content.decode()
    owner.post(address, {})
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize(
    "query", ["status__exact=nonsense", "integration__id__exact=x", "is_test__exact=7", "created_at_from=never"]
)
def test_a_filter_that_means_nothing_touches_nothing(owner, definition, query):
    deliver(definition, status="failed")
    owner.post(everything("retry", f"?{query}"), {})
    assert not BulkAction.objects.exists()


def test_every_filter_of_the_list_is_known_here():
    names = {"status__exact", "created_at_from", "created_at_to", "q", *PARAMETERS}
    for item in EventDeliveryAdmin.list_filter:
        field = item[0] if isinstance(item, tuple) else getattr(item, "parameter_name", item)
        assert any(name.startswith(str(field)) for name in names), f"bulk actions do not know the filter {field}"


QUERIES = [
    "",
    "?status__exact=failed",
    "?status__exact=failed&status__exact=cancelled",
    "?reason__exact=refused",
    "?integration__id__exact={integration}",
    "?definition__id__exact={definition}",
    "?is_test__exact=1",
    "?is_test__exact=0",
    "?portal=pos",
    "?portal=-",
    "?q=vik@example.com",
    "?q=v-9",
    "?q={delivery}",
    "?customer_ref__exact=c7&merchant__id__exact={merchant}",
    "?customer_ref__exact=c7&customer_ref__exact=c9&merchant__id__exact={merchant}",
    "?created_at_from=2026-03-01&created_at_to=2026-03-01",
    "?created_at_to=2026-03-01",
    "?status__exact=failed&is_test__exact=0&reason__exact=refused&o=1&p=0",
]


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_touched_is_what_the_list_shows(owner, definition, query):
    from events.identifiers import first_id_at

    second = make.definition(definition.integration, name="Second")
    late = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rows = [
        deliver(definition, status="failed"),
        deliver(definition, status="cancelled", reason="refused"),
        deliver(second, status="failed", reason="refused", is_test=True),
        deliver(second, status="failed", reason="refused", customer_ref="c7", portal="pos"),
        deliver(second, status="failed", customer_ref="c9"),
        deliver(definition, status="failed", recipient={"email": "vik@example.com", "customer_id": "v-9"}),
        deliver(definition, status="failed", id=uuid.UUID(int=first_id_at(late).int + 1), created_at=late),
    ]
    names = {
        "integration": definition.integration_id,
        "definition": second.pk,
        "delivery": rows[0].pk,
        "merchant": definition.integration.merchant_id,
    }
    query = query.format(**names)
    text = owner.get(LIST + query).content.decode()
    shown = {row.pk for row in rows if page(row) in text}
    assert shown
    assert {uuid.UUID(row["delivery ID"]) for row in exported(owner, query)} == shown

    owner.post(everything("retry", query), {"token": str(uuid.uuid4())})
    bulk_run.run(BulkAction.objects.get().pk)

    assert set(EventDelivery.objects.filter(status="queued").values_list("pk", flat=True)) == shown


def test_of_several_merchants_each_has_a_run_of_its_own(definition):
    other = make.definition(make.integration(make.merchant("beta")))
    empty = make.merchant("gamma")
    client = login("both", definition.integration.merchant)
    user = get_user_model().objects.get(username="both")
    for merchant, role in ((other.integration.merchant, "manager"), (empty, "owner")):
        Membership.objects.create(merchant=merchant, user=user, role=role)
    mine, theirs = deliver(definition, status="failed"), deliver(other, status="failed")
    text = client.get(everything("retry")).content.decode()
    assert "Retry 2 deliveries?" in text and "Acme: 1, Beta: 1" in text
    assert client.post(everything("retry"), {"token": token_in(text)})["Location"] == RUNS
    assert BulkAction.objects.count() == 2
    for run in BulkAction.objects.all():
        bulk_run.run(run.pk)
    assert {EventDelivery.objects.get(pk=row.pk).status for row in (mine, theirs)} == {"queued"}


# --- Who may -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["viewer", "stranger"])
@pytest.mark.parametrize("what", ["retry", "replay", "cancel"])
def test_viewers_and_strangers_change_nothing_in_any_way(request, definition, who, what):
    client = request.getfixturevalue(who)
    rows = [deliver(definition, status=state) for state in ("failed", "queued", "sent")]
    before = list(EventDelivery.objects.order_by("pk").values())

    for query in ("", f"?integration__id__exact={definition.integration_id}", f"?q={rows[0].pk}", "?status__exact=failed"):
        client.get(everything(what, query))
        client.post(everything(what, query), {"token": str(uuid.uuid4())})
        ticked(client, what, rows, confirmed="1", token=str(uuid.uuid4()))
    for row in rows:
        assert client.post(page(row, what), {"_form_submitted": "on"}).status_code == 403
    for run in BulkAction.objects.all():
        bulk_run.run(run.pk)

    assert list(EventDelivery.objects.order_by("pk").values()) == before
    assert not BulkAction.objects.filter(merchant=definition.integration.merchant).exists()


def test_a_viewer_sees_runs_and_may_export_but_is_offered_no_verb(owner, viewer, definition):
    deliver(definition, status="failed")
    owner.post(everything("retry"), {"token": str(uuid.uuid4())})
    run = BulkAction.objects.get()
    text = viewer.get(LIST).content.decode()
    assert everything("retry") not in text and EXPORT in text
    assert viewer.get(run_page(run)).status_code == 200
    assert run_page(run, "stop") not in viewer.get(run_page(run)).content.decode()
    assert viewer.post(run_page(run, "stop")).status_code == 403
    run.refresh_from_db()
    assert run.state == "running"


def test_another_merchants_run_is_not_there(owner, stranger, definition):
    deliver(definition, status="failed")
    owner.post(everything("retry"), {"token": str(uuid.uuid4())})
    run = BulkAction.objects.get()
    assert run_page(run) not in stranger.get(RUNS).content.decode()
    for verb in ("change", "progress", "stop"):
        assert stranger.get(run_page(run, verb)).status_code == 404
        assert stranger.post(run_page(run, verb)).status_code == 404
    run.refresh_from_db()
    assert run.state == "running"


def test_a_run_is_stopped_by_post_only(owner, definition):
    deliver(definition, status="failed")
    owner.post(everything("retry"), {"token": str(uuid.uuid4())})
    run = BulkAction.objects.get()
    assert run_page(run, "stop") in owner.get(run_page(run)).content.decode()
    owner.get(run_page(run, "stop"))
    run.refresh_from_db()
    assert run.state == "running"
    owner.post(run_page(run, "stop"))
    run.refresh_from_db()
    assert run.state == "stopped"
    assert owner.get(run_page(run, "progress")).json()["over"] is True


@pytest.mark.parametrize("what", ["delete", "RETRY", "../x"])
def test_a_verb_that_there_is_not_is_not_found(owner, definition, what):
    assert owner.get(f"{LIST}all/{what}/").status_code in (404, 302)


# --- Export --------------------------------------------------------------------------------------------------------------
def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    text = b"".join(client.get(EXPORT + query)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_list_is_exported_as_it_is_filtered_and_no_more_of_a_customer_than_it_shows(owner, definition):
    deliver(definition, status="failed", reason="refused", detail="=1+1")
    deliver(definition, status="sent", sent_at=timezone.now())
    rows = exported(owner, "?status__exact=failed")
    assert [(row["state"], row["customer"], row["what came of it"]) for row in rows] == [("Failed", "Asha Rao", "'=1+1")]
    text = b"".join(owner.get(EXPORT)).decode()
    assert len(exported(owner)) == 2
    assert not any(secret in text for secret in ("asha@example.com", "+919876543210", "nector_", "CANARY"))


def test_an_export_has_only_the_users_own_merchants(stranger, definition):
    deliver(definition, status="failed")
    assert exported(stranger) == []
    assert exported(stranger, f"?integration__id__exact={definition.integration_id}") == []


def test_an_export_of_many_pages_has_each_row_once(owner, definition, monkeypatch):
    monkeypatch.setattr("events.admin.delivery_export.PAGE", 3)
    keys = [str(deliver(definition).pk) for _number in range(10)]
    assert [row["delivery ID"] for row in exported(owner)] == keys[::-1]
