from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events import claims, suppression, verbs
from events.drain import drain
from events.host import Host, HostProfile
from events.models import EventDefinition, EventDelivery
from events.payload import delivery_fields
from events.replay import is_replayable, replay, replay_these
from events.states import Reason, State
from events.tests.conftest import deliver
from events.tracking import read_token
from events.verbs import Fate
from integrations.models import Status
from nectorbridge.testing import make

TOKEN = str(uuid.uuid4())


class SayingHost(Host):
    """Knows whom and what the test says."""

    people: dict[str, dict] = {}
    said: dict[str, str] = {}
    asked: list[str] = []

    def profiles(self, merchant_id, refs=None, after="", limit=500):
        return [HostProfile(ref, self.people[ref]) for ref in refs or () if ref in self.people]

    def consents(self, merchant_id, refs, channel=""):
        self.asked.append(channel)
        return {ref: self.said[ref] for ref in refs if ref in self.said}


@pytest.fixture
def host(settings):
    settings.NECTORBRIDGE_HOST = f"{__name__}.SayingHost"
    SayingHost.people, SayingHost.said, SayingHost.asked = {}, {}, []
    return SayingHost


def sent(definition, **values) -> EventDelivery:
    """Return a delivery that was sent, with tracked links of its own."""
    delivery = deliver(definition, **{"status": "sent", "attempt_count": 1, **values})
    delivery.payload = delivery_fields(delivery.payload, delivery.pk)
    delivery.save()
    return delivery


def again(delivery: EventDelivery) -> EventDelivery:
    """Return the only replay there is."""
    return EventDelivery.objects.get(replay_of=delivery)


# --- What a replay is ----------------------------------------------------------------------------------------------------
def test_a_replay_carries_the_same_content_under_an_id_and_links_of_its_own(definition, host):
    old = sent(definition, portal="pos", destination="https://acme.example/x")
    before = EventDelivery.objects.filter(pk=old.pk).values().get()

    new = replay(old, TOKEN).delivery

    assert (new.replay_of_id, new.status, new.attempt_count, new.sent_at) == (old.pk, "queued", 0, None)
    assert new.payload["nector_delivery_id"] == str(new.pk) != str(old.pk)
    assert read_token(new.payload["nector_click_url"].rpartition("/")[2]) == new.pk
    assert read_token(new.payload["nector_open_url"].rpartition("/")[2].removesuffix(".gif")) == new.pk
    own = {"nector_delivery_id", "nector_click_url", "nector_open_url"}
    assert {k: v for k, v in new.payload.items() if k not in own} == {k: v for k, v in old.payload.items() if k not in own}
    same = ("event_name", "trigger", "portal", "destination", "customer_ref", "recipient", "occurred_at", "definition_id")
    assert all(getattr(new, name) == getattr(old, name) for name in same)
    assert EventDelivery.objects.filter(pk=old.pk).values().get() == before, "the old row stays as it is"


def test_asked_twice_there_is_one_replay_and_asked_anew_another(definition, host):
    old = sent(definition)
    first = replay(old, TOKEN)
    second = replay(old, TOKEN)
    assert (first.fate, second.fate) == (Fate.QUEUED, Fate.REPLAYED)
    assert second.delivery == first.delivery

    assert replay(old, "another form").fate == Fate.REPLAYED, "the first one still waits"
    EventDelivery.objects.filter(pk=first.delivery.pk).update(status=State.SENT)
    assert replay(old, TOKEN).fate == Fate.REPLAYED, "the same click, however late"
    assert replay(old, "another form").fate == Fate.QUEUED
    assert EventDelivery.objects.filter(replay_of=old).count() == 2


@pytest.mark.parametrize("key", ["walletreward_create:7", "k" * 240])
def test_a_replays_key_keeps_the_activitys_own_and_fits(definition, host, key):
    old = sent(definition, idempotency_key=f"{definition.pk}:{key}")
    new = replay(old, TOKEN).delivery
    EventDelivery.objects.filter(pk=new.pk).update(status="sent")
    newest = replay(EventDelivery.objects.get(pk=new.pk), TOKEN).delivery
    kept = new.idempotency_key.partition(":")[2]
    assert (kept == key) is (len(key) < 99)
    assert len({old.idempotency_key, new.idempotency_key, newest.idempotency_key}) == 3
    assert max(len(row.idempotency_key) for row in (new, newest)) <= 255


def test_a_replay_is_delivered_like_any_other(definition, host, rung, django_capture_on_commit_callbacks):
    old = sent(definition)
    with django_capture_on_commit_callbacks(execute=True):
        new = replay(old, TOKEN).delivery
    assert rung == [definition.integration_id]
    assert [row.id for row in claims.claim(definition.integration_id, 10, "worker")] == [str(new.pk)]


@pytest.mark.parametrize("state", [state for state in State if state not in ("sent", "failed", "cancelled")])
def test_what_is_not_over_or_was_left_out_on_purpose_is_not_replayed(definition, host, state):
    old = deliver(definition, status=state, reason="filtered" if state == "skipped" else "")
    assert not is_replayable(old)
    assert replay(old, TOKEN).delivery is None
    assert EventDelivery.objects.count() == 1


@pytest.mark.parametrize("reason", [Reason.NO_CONSENT, Reason.NO_IDENTITY, Reason.SUPPRESSED])
def test_what_was_skipped_for_its_customer_is_judged_anew(definition, host, reason):
    old = deliver(definition, status="skipped", reason=reason)
    assert is_replayable(old)
    assert replay(old, TOKEN).fate == Fate.QUEUED


@pytest.mark.parametrize("reason", [Reason.FREQUENCY_CAP, Reason.BACKFILL, Reason.DUPLICATE, Reason.STALE])
def test_what_the_events_own_rules_left_out_stays_out(definition, host, reason):
    assert replay(deliver(definition, status="skipped", reason=reason), TOKEN).fate == Fate.BY_DESIGN
    assert EventDelivery.objects.count() == 1


# --- The integration and the event ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(("status", "fate"), [("paused", Fate.HELD), ("attention", Fate.HELD), ("draft", Fate.DISCONNECTED)])
def test_a_replay_is_held_where_the_integration_waits_and_refused_where_it_is_not_connected(definition, host, status, fate):
    old = sent(definition)
    definition.integration.status = status
    definition.integration.enabled = status != "draft"
    definition.integration.save()
    assert replay(old, TOKEN).fate == fate
    assert [row.status for row in EventDelivery.objects.exclude(pk=old.pk)] == (["held"] if fate == Fate.HELD else [])


@pytest.mark.parametrize(("is_test", "fate"), [(False, Fate.SWITCHED_OFF), (True, Fate.QUEUED)])
def test_of_an_event_that_is_switched_off_only_a_test_is_replayed(definition, host, is_test, fate):
    old = sent(definition, is_test=is_test)
    definition.enabled = False
    definition.save()
    assert replay(old, TOKEN).fate == fate
    assert EventDelivery.objects.filter(replay_of=old, is_test=True).count() == is_test


def test_a_failed_delivery_of_an_event_that_is_switched_off_is_not_retried(definition, host):
    old = deliver(definition, status="failed")
    definition.enabled = False
    definition.save()
    assert verbs.retry_these([old.pk]) == {Fate.SWITCHED_OFF: 1}
    old.refresh_from_db()
    assert old.status == "failed"


@pytest.mark.parametrize("verb", [verbs.retry_these, lambda ids: replay_these(ids, TOKEN)])
def test_a_provider_that_is_gone_and_content_that_is_gone_are_words_and_no_errors(definition, host, verb):
    empty = deliver(definition, status="failed", payload={})
    assert verb([empty.pk]) == {Fate.NO_CONTENT: 1}
    type(definition.integration).objects.update(provider="former")
    gone = deliver(definition, status="failed")
    assert verb([gone.pk]) == {Fate.UNINSTALLED: 1}
    assert set(EventDelivery.objects.values_list("status", flat=True)) == {"failed"}


# --- The customer --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("said", "state"), [("unsubscribed", "skipped"), ("subscribed", "queued"), ("unknown", "queued")])
def test_a_replay_respects_what_the_customer_says_now(definition, host, said, state):
    host.said["c1"] = said
    old = sent(definition)
    replay(old, TOKEN)
    new = again(old)
    assert (new.status, new.reason) == (state, "no_consent" if state == "skipped" else "")
    assert (new.next_attempt_at is None) is (state == "skipped")


def test_a_retry_respects_it_too_and_says_why(definition, host):
    host.said["c1"] = "unsubscribed"
    old = deliver(definition, status="failed", reason="exhausted", detail="503")
    assert verbs.retry_these([old.pk]) == {Fate.NO_CONSENT: 1}
    assert not verbs.retry(old)
    old.refresh_from_db()
    assert (old.status, old.reason, old.detail, old.next_attempt_at) == ("skipped", "no_consent", "", None)


@pytest.mark.parametrize(
    ("kind", "is_machine", "state"),
    [
        ("unsubscribe", False, "skipped"),
        ("complaint", False, "skipped"),
        ("unsubscribe", True, "queued"),
        ("open", False, "queued"),
    ],
)
def test_whoever_unsubscribed_or_complained_after_a_message_gets_no_replay(definition, host, kind, is_machine, state):
    old, other = sent(definition), sent(definition)
    suppression.came_back(other, kind, "test", timezone.now(), is_machine)
    replay(old, TOKEN)
    assert (again(old).status, again(old).reason) == (state, "suppressed" if state == "skipped" else "")


@pytest.mark.parametrize(("policy", "state"), [("skip", "skipped"), ("flag", "queued"), ("ignore", "queued")])
def test_a_replay_respects_consent_as_its_event_does(definition, host, policy, state):
    host.said["c1"] = "unsubscribed"
    EventDefinition.objects.update(consent_policy=policy)
    old = sent(definition)
    replay(old, TOKEN)
    assert again(old).status == state


def test_what_came_back_at_another_merchant_concerns_nobody_here(definition, host):
    elsewhere = make.definition(make.integration(make.merchant("other")))
    suppression.came_back(sent(elsewhere), "unsubscribe", "test", timezone.now())
    old = sent(definition)
    replay(old, TOKEN)
    assert again(old).status == "queued"


def test_the_customer_is_addressed_as_the_host_knows_them_now(definition, host):
    host.people["c1"] = {"customer_id": "c1", "email": "new@example.com", "phone": "", "name": "Asha"}
    old, failed, stranger = sent(definition), deliver(definition, status="failed"), sent(definition, customer_ref="c2")
    now = {"customer_id": "c1", "email": "new@example.com", "name": "Asha"}

    replay_these([old.pk, stranger.pk], TOKEN)
    assert verbs.retry(failed)
    failed.refresh_from_db()

    assert again(old).recipient == failed.recipient == now
    assert again(stranger).recipient == make.PERSON, "whom the host does not know keeps the address it was recorded with"
    assert again(old).payload["coins"] == failed.payload["coins"] == 50


def test_a_customer_who_has_lost_the_common_property_is_skipped(definition, host):
    host.people["c1"] = {"customer_id": "", "email": "asha@example.com"}
    failed = deliver(definition, status="failed")
    assert verbs.retry_these([failed.pk]) == {Fate.NO_IDENTITY: 1}
    failed.refresh_from_db()
    assert (failed.status, failed.reason) == ("skipped", "no_identity")


def test_a_channel_of_its_own_is_asked_for_where_the_provider_has_but_one(integration, host):
    mailmodo = make.definition(
        make.integration(
            integration.merchant,
            provider="mailmodo",
            common_property="email",
            settings={"list_name": "L"},
            secrets={"api_key": "K" * 20},
        )
    )
    replay(sent(mailmodo), TOKEN)
    replay(sent(make.definition(integration)), TOKEN)
    assert host.asked == ["email", ""]


# --- Retry and replay together -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("state", "fate"), [("queued", Fate.REPLAYED), ("sent", Fate.REPLAYED), ("failed", Fate.QUEUED)])
def test_what_has_been_replayed_is_not_retried_besides(definition, host, state, fate):
    old = deliver(definition, status="failed")
    replay(old, TOKEN)
    EventDelivery.objects.filter(replay_of=old).update(status=state)
    assert verbs.retry_these([old.pk]) == {fate: 1}


def test_many_are_sent_again_by_few_statements(definition, host):
    few = [sent(definition, customer_ref=f"c{number}").pk for number in range(3)]
    many = [sent(definition, customer_ref=f"c{number}").pk for number in range(60)]
    counts = []
    for ids in (few, many):
        with CaptureQueriesContext(connection) as captured:
            assert replay_these(ids, TOKEN) == Counter({"queued": len(ids)})
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 12


# --- Order ---------------------------------------------------------------------------------------------------------------
def failing(delivery: EventDelivery) -> None:
    """Let a delivery fail for a while."""
    later = timezone.now() + timedelta(hours=1)
    EventDelivery.objects.filter(pk=delivery.pk).update(
        status="retrying", first_failed_at=timezone.now(), next_attempt_at=later, attempt_count=1
    )


def claimed(definition) -> list[str]:
    return [row.id for row in claims.claim(definition.integration_id, 10, "worker")]


def test_a_replay_waits_for_no_event_that_keeps_failing(definition, host):
    old = sent(definition)
    failing(deliver(definition))
    fresh = deliver(definition)
    new = replay(old, TOKEN).delivery
    assert claimed(definition) == [str(new.pk)]
    assert EventDelivery.objects.get(pk=fresh.pk).status == "queued"


def test_a_replay_that_keeps_failing_holds_no_event_back(definition, host):
    failing(replay(sent(definition), TOKEN).delivery)
    fresh = deliver(definition)
    assert claimed(definition) == [str(fresh.pk)]


def test_a_replay_still_waits_for_a_call_under_way_to_its_customer(definition, host):
    new = replay(sent(definition), TOKEN).delivery
    EventDelivery.objects.filter(pk=deliver(definition).pk).update(status="sending")
    assert claimed(definition) == []
    assert EventDelivery.objects.get(pk=new.pk).status == "queued"


def test_the_drain_itself_sends_nothing_of_a_disconnected_integration(definition, host):
    new = replay(sent(definition), TOKEN).delivery
    type(definition.integration).objects.update(status=Status.DRAFT, enabled=False)
    drain(definition.integration_id)
    new.refresh_from_db()
    assert new.attempt_count == 0
