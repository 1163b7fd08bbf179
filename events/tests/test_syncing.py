"""Profiles apart from events: all customers once, and from then on those who change. The host here is a small one of ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import responses
from django.utils import timezone

from events import bell, host, record, syncing, tasks
from events.drain import drain
from events.models import Call, Contact, ContactSync
from events.sweep import sweep
from events.tests.conftest import deliver
from integrations import providers
from integrations.models import Integration, Status
from integrations.providers.base import Call as ProviderCall
from integrations.providers.base import Limits, Outcome, Packed, Reading, Record, Request, Verdict
from integrations.providers.contlo import Contlo
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
BULK, SINGLE, EVENT = "https://toy.example/bulk", "https://toy.example/single", "https://toy.example/event"
CHECK = "https://marketing.contlo.com/api/integrations/zapier"
PER_CALL = 10


class Listed(Contlo):
    """Fills a list when it is connected, ten a call; newcomers one by one."""

    slug = "listed"
    label = "Listed"
    identify_first = True
    fills_list = True
    limits = Limits(records_per_call=1, bytes_per_call=1000, calls_in_flight=4, contacts_per_call=PER_CALL, bulk_in_flight=1)

    def pack_events(self, account, events, profiles, now):
        calls = [_call(EVENT, event.delivery_id, Record(delivery_id=event.delivery_id)) for event in events]
        return Packed(tuple(calls))

    def pack_contacts(self, account, profiles, now, bulk=False):
        fresh = [profile for profile in profiles if profile.pushed_hash != _hash(profile)]
        batch = [profile for profile in fresh if bulk or profile.is_known]
        calls = [_contacts(BULK, batch[n : n + PER_CALL], True) for n in range(0, len(batch), PER_CALL)]
        calls += [_contacts(SINGLE, [profile], False) for profile in fresh if profile not in batch]
        return Packed(tuple(calls))

    def read(self, call, answer):
        body, refs = answer.json() or {}, {record.customer_ref for record in call.records if record.customer_ref}
        if answer.status == 400:
            return Reading(Verdict(Outcome.PERMANENT, "400", "bad batch"), split=True)
        if answer.status != 200:
            return super().read(call, answer)
        bad = {ref: "*" for ref in refs if ref in body.get("bad", {})}
        return Reading(
            Verdict(Outcome.ACCEPTED), contacts=frozenset(refs - set(bad)), refused=bad, refused_reasons=body.get("bad", {})
        )


def _hash(profile):
    return f"{profile.recipient['email']}:{profile.attributes.get('nector_coins')}"


def _contacts(url, profiles, is_bulk):
    records = tuple(Record(customer_ref=profile.customer_ref, profile_hash=_hash(profile)) for profile in profiles)
    return ProviderCall(_request(url, [profile.recipient["email"] for profile in profiles]), records, is_bulk)


def _call(url, body, record):
    return ProviderCall(_request(url, body), (record,))


def _request(url, body):
    return Request("POST", url, body=json.dumps(body).encode())


class Shop(host.Host):
    """Customers in a list; `changed` names those who changed lately."""

    people: dict[str, host.HostProfile] = {}
    changed: list[str] = []

    def count_customers(self, merchant_id):
        return len(self.people)

    def profiles(self, merchant_id, refs=None, after="", limit=500):
        if refs is not None:
            return [self.people[ref] for ref in refs if ref in self.people]
        return [self.people[ref] for ref in sorted(self.people, key=int) if not after or int(ref) > int(after)][:limit]

    def changed_since(self, merchant_id, since, limit=5000):
        return list(self.changed), None

    def merchants_changed_since(self, since):
        return set(Integration.objects.values_list("merchant_id", flat=True)) if self.changed else set()


def customer(ref, coins=10, **recipient):
    person = {"customer_id": f"C{ref}", "email": f"c{ref}@example.com", "phone": "", "name": "", **recipient}
    as_of = datetime(2026, 11, 1, tzinfo=UTC)
    return host.HostProfile(ref, person, {"nector_coins": coins, "nector_coins_as_of": as_of, "nector_tier": None})


@pytest.fixture
def shop(settings):
    settings.NECTORBRIDGE_HOST = f"{__name__}.Shop"
    settings.PROFILE_SYNC_SECONDS = 1
    Shop.people, Shop.changed = {str(n): customer(str(n)) for n in range(1, 26)}, []
    return Shop


@pytest.fixture
def integration(shop):
    providers.register(Listed())
    values = {"provider": "listed", "common_property": "email", "settings": {}, "secrets": {"private_api_key": "SECRET-KEY-1"}}
    yield make.definition(make.integration(**values), name="Wallet").integration
    providers.unregister("listed")


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        for url in (BULK, SINGLE, EVENT):
            mocked.add(responses.POST, url, json={})
        mocked.add(responses.POST, CHECK, json={"success": True})
        yield mocked


def sent(provider, url):
    return [json.loads(call.request.body) for call in provider.calls if call.request.url == url]


def look_again(integration):
    Integration.objects.filter(pk=integration.pk).update(profiles_seen_until=timezone.now() - timedelta(minutes=5))


def run_of(integration):
    return ContactSync.objects.get(integration=integration)


def test_connecting_fills_the_list_with_every_customer_in_pages(integration, provider):
    assert integration.initialize().ok
    run = run_of(integration)
    assert (run.state, run.total, run.is_first, run.handled) == ("running", 25, True, 0)
    syncing.push_contacts(integration.pk)
    run.refresh_from_db()
    assert (run.state, run.handled, run.pushed, run.unchanged, run.refused) == ("done", 25, 25, 0, 0) and run.ended_at
    assert [len(batch) for batch in sent(provider, BULK)] == [10, 10, 5] and not sent(provider, SINGLE)
    assert Contact.objects.filter(status="synced").count() == 25
    contact = Contact.objects.get(customer_ref="1")
    assert contact.attributes == {"nector_coins": 10, "nector_coins_as_of": {"at": "2026-11-01T00:00:00+00:00"}}
    assert set(Call.objects.values_list("kind", flat=True)) == {"bulk"}


def test_connecting_again_sends_nothing_that_is_known(integration, provider):
    for _ in range(2):
        assert integration.initialize().ok
        syncing.push_contacts(integration.pk)
    assert len(sent(provider, BULK)) == 3
    last = ContactSync.objects.latest("id")
    assert (last.state, last.unchanged, last.pushed) == ("done", 25, 0)


def test_after_a_crash_it_goes_on_behind_what_is_done(integration, provider, monkeypatch):
    integration.initialize()
    pages = []

    def crash_at_the_second(self, found, bulk=False, run=syncing.Push.run):
        pages.append(len(found))
        if len(pages) == 2:
            raise KeyboardInterrupt
        return run(self, found, bulk)

    monkeypatch.setattr(syncing.Push, "run", crash_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.state, run.cursor, run.handled) == ("running", "10", 10)
    syncing.push_contacts(integration.pk)
    run.refresh_from_db()
    assert (run.state, run.handled, run.pushed) == ("done", 25, 25)
    assert [len(batch) for batch in sent(provider, BULK)] == [10, 10, 5]


def test_a_dead_workers_lease_runs_out_and_the_sweep_rings_again(integration, provider, monkeypatch):
    integration.initialize()
    rung = []
    monkeypatch.setattr(bell, "async_task", lambda task, pk, **_options: rung.append((task, pk)))
    now = timezone.now()
    Integration.objects.update(push_leased_until=now + timedelta(seconds=30), push_rung_at=None)
    sweep()
    assert syncing.push_contacts(integration.pk) == 0 and rung == [] and not sent(provider, BULK)
    Integration.objects.update(push_leased_until=now - timedelta(seconds=1))
    sweep()
    assert rung == [("events.tasks.push_contacts", integration.pk)]


def test_one_bulk_call_is_under_way_at_a_time_whoever_makes_it(integration, provider, settings, monkeypatch):
    integration.initialize()
    now = timezone.now()
    Call.objects.create(integration=integration, kind="bulk", started_at=now, lease_until=now + timedelta(seconds=60))
    monkeypatch.setattr("events.turns.LONGEST_SECONDS", 0.5)
    syncing.push_contacts(integration.pk)
    assert not sent(provider, BULK) and run_of(integration).handled == 0
    Call.objects.update(ended_at=now)
    syncing.push_contacts(integration.pk)
    assert run_of(integration).state == "done"


def test_a_page_that_does_not_get_through_is_tried_again_later_from_there(integration, provider):
    integration.initialize()
    provider.replace(responses.POST, BULK, status=503)
    syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.state, run.handled, run.failures) == ("running", 0, 1) and run.next_at > timezone.now() and run.message
    assert syncing.push_contacts(integration.pk) == 0 and len(sent(provider, BULK)) == 1
    provider.replace(responses.POST, BULK, json={})
    ContactSync.objects.update(next_at=timezone.now())
    syncing.push_contacts(integration.pk)
    run.refresh_from_db()
    assert (run.state, run.pushed, run.failures, run.message) == ("done", 25, 0, "")


def test_a_page_that_never_gets_through_is_taken_apart_until_one_customer_is_left_for_later(integration, provider):
    integration.initialize()

    def judge(request):
        return (500, {}, "oops") if "c7@example.com" in json.loads(request.body) else (200, {}, "{}")

    provider.remove(responses.POST, BULK)
    provider.add_callback(responses.POST, BULK, judge)
    for _turn in range(40):
        ContactSync.objects.update(next_at=timezone.now())
        syncing.push_contacts(integration.pk)
        if run_of(integration).state == "done":
            break
    run = run_of(integration)
    assert (run.state, run.handled, run.pushed, run.refused) == ("done", 25, 24, 0)
    assert Contact.objects.get(customer_ref="7").dirty_at > timezone.now(), "tried again later, by itself"
    alone = [body for body in sent(provider, BULK) if body == ["c7@example.com"]]
    assert len(alone) >= 3, "not given up at its first failure alone"


def test_while_the_provider_is_down_nobody_is_passed_over_in_a_hurry(integration, provider):
    integration.initialize()
    provider.replace(responses.POST, BULK, status=503)
    for _turn in range(syncing.MOST_PATIENCE):
        ContactSync.objects.update(next_at=timezone.now())
        syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.state, run.handled, run.failures) == ("running", 0, syncing.MOST_PATIENCE)
    provider.replace(responses.POST, BULK, json={})
    for _turn in range(10):
        ContactSync.objects.update(next_at=timezone.now())
        syncing.push_contacts(integration.pk)
    run.refresh_from_db()
    assert (run.state, run.pushed) == ("done", 25), "pages grow again"


def test_429_holds_the_integration_and_the_run_goes_on_afterwards(integration, provider):
    integration.initialize()
    provider.replace(responses.POST, BULK, status=429, headers={"Retry-After": "40"})
    syncing.push_contacts(integration.pk)
    integration.refresh_from_db()
    assert integration.hold_until > timezone.now() + timedelta(seconds=39) and run_of(integration).state == "running"
    assert syncing.push_contacts(integration.pk) == 0 and len(sent(provider, BULK)) == 1


def test_a_contact_that_is_refused_is_counted_with_the_providers_words(integration, provider):
    integration.initialize()
    provider.replace(responses.POST, BULK, json={"bad": {"7": "mailbox does not exist"}})
    syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.state, run.pushed, run.refused) == ("done", 24, 1)
    assert Contact.objects.get(customer_ref="7").status == "refused"


def test_a_batch_refused_as_a_whole_is_halved_until_the_bad_one_stands_alone(integration, provider):
    integration.initialize()

    def judge(request):
        return (400, {}, "{}") if "c7@example.com" in json.loads(request.body) else (200, {}, "{}")

    provider.remove(responses.POST, BULK)
    provider.add_callback(responses.POST, BULK, judge)
    syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.state, run.pushed, run.refused) == ("done", 24, 1)
    contact = Contact.objects.get(customer_ref="7")
    assert (contact.status, contact.reason, contact.dirty_at) == ("refused", "bad batch", None)


def test_customers_without_the_common_property_are_counted_and_not_sent(integration, provider, shop):
    shop.people["3"] = customer("3", email="")
    integration.initialize()
    syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.handled, run.pushed, run.without_identity) == (25, 24, 1)


def test_a_newcomer_is_added_alone_and_a_change_goes_in_bulk(integration, provider, shop):
    integration.initialize()
    syncing.push_contacts(integration.pk)
    shop.people["99"] = customer("99")
    shop.people["1"] = customer("1", coins=500)
    shop.changed = ["99", "1", "2"]
    look_again(integration)
    syncing.push_contacts(integration.pk)
    assert sent(provider, SINGLE) == [["c99@example.com"]] and sent(provider, BULK)[3:] == [["c1@example.com"]]
    look_again(integration)
    syncing.push_contacts(integration.pk)
    assert len(sent(provider, SINGLE)) == 1 and len(sent(provider, BULK)) == 4, "nothing changed: nothing leaves"


def test_many_changes_of_one_customer_are_one_push(integration, provider, shop):
    integration.initialize()
    syncing.push_contacts(integration.pk)
    for coins in range(100, 120):
        shop.people["1"] = customer("1", coins=coins)
    shop.changed = ["1"]
    look_again(integration)
    syncing.push_contacts(integration.pk)
    assert sent(provider, BULK)[3:] == [["c1@example.com"]]
    assert Contact.objects.get(customer_ref="1").attributes["nector_coins"] == 119


def test_a_change_that_does_not_get_through_is_pushed_again_after_a_while(integration, provider, shop):
    integration.initialize()
    syncing.push_contacts(integration.pk)
    provider.replace(responses.POST, BULK, status=500)
    shop.people["1"] = customer("1", coins=500)
    shop.changed = ["1"]
    look_again(integration)
    syncing.push_contacts(integration.pk)
    contact = Contact.objects.get(customer_ref="1")
    assert contact.dirty_at > timezone.now() + timedelta(seconds=50)
    shop.changed = []
    provider.replace(responses.POST, BULK, json={})
    Contact.objects.update(dirty_at=timezone.now())
    syncing.push_contacts(integration.pk)
    contact.refresh_from_db()
    assert contact.dirty_at is None and contact.attributes["nector_coins"] == 500


def test_while_the_list_is_filled_nobody_old_is_added_as_a_newcomer(integration, provider, shop):
    integration.initialize()
    shop.changed = ["20"]
    look_again(integration)
    provider.replace(responses.POST, BULK, status=503)
    syncing.push_contacts(integration.pk)
    assert not sent(provider, SINGLE)


def test_an_event_of_a_known_contact_needs_no_contact_call_and_keeps_its_attributes(integration, provider):
    integration.initialize()
    syncing.push_contacts(integration.pk)
    person = Contact.objects.get(customer_ref="1").recipient
    record(make.activity(integration.merchant, person="1", recipient=person))
    drain(integration.pk)
    assert len(sent(provider, EVENT)) == 1 and not sent(provider, SINGLE) and len(sent(provider, BULK)) == 3
    assert Contact.objects.get(customer_ref="1").attributes["nector_coins"] == 10


def test_nothing_is_pushed_while_the_integration_may_not_send(integration, provider):
    integration.initialize()
    for status in (Status.PAUSED, Status.ATTENTION, Status.DRAFT):
        Integration.objects.update(status=status)
        assert syncing.push_contacts(integration.pk) == 0
    assert not sent(provider, BULK)


def test_profiles_give_way_to_events_that_no_worker_came_for_and_go_on_afterwards(integration, provider, monkeypatch):
    asked = []
    monkeypatch.setattr(bell, "async_task", lambda task, pk, **_options: asked.append((task, pk)))
    integration.initialize()
    asked.clear()
    row = deliver(integration.definitions.get(), next_attempt_at=timezone.now() - timedelta(minutes=1))
    assert syncing.push_contacts(integration.pk) == 0 and not sent(provider, BULK)
    assert set(asked) == {(bell.DRAIN_TASK, integration.pk)}, "a worker is asked to come"

    row.delete()
    assert syncing.push_contacts(integration.pk) == 25 and run_of(integration).state == "done"


def test_a_push_that_had_the_last_place_looks_for_who_came_meanwhile(integration, provider, settings, monkeypatch):
    asked = []
    monkeypatch.setattr(bell, "async_task", lambda task, pk, **_options: asked.append((task, pk)))
    settings.DELIVERY_WORKERS, settings.DELIVERY_WORKERS_PER_INTEGRATION = 2, 1  # one may work for this integration
    integration.initialize()
    bell.clear(integration.pk)
    asked.clear()

    def rings_in_vain(push):
        """An event comes, and its drain finds no place."""
        deliver(integration.definitions.get())
        bell.ring(integration.pk)
        assert drain(integration.pk) == 0
        return 0

    monkeypatch.setattr(syncing, "_pushed_by", rings_in_vain)
    syncing.push_contacts(integration.pk)
    assert asked == [(bell.DRAIN_TASK, integration.pk)] * 2


def test_of_the_tasks_of_one_bell_for_profiles_the_first_does_the_work(integration, provider, monkeypatch):
    tokens = []
    monkeypatch.setattr(bell, "async_task", lambda _task, _pk, token, **_options: tokens.append(token))
    integration.initialize()
    assert bell.ring_for_push(integration.pk)
    Integration.objects.update(push_rung_at=timezone.now() - timedelta(minutes=1))  # its task is late
    assert bell.ring_for_push(integration.pk) and tokens[0] == tokens[1]
    assert tasks.push_contacts(integration.pk, token=tokens[0]) == 25
    assert bell.ring_for_push(integration.pk)
    assert tasks.push_contacts(integration.pk, token=tokens[1]) == 0
    assert not bell.ring_for_push(integration.pk), "which is left to its own task"


def test_a_run_can_be_stopped_and_started_anew(integration, provider):
    integration.initialize()
    run = run_of(integration)
    assert syncing.stop_sync(run) and not syncing.stop_sync(run)
    syncing.push_contacts(integration.pk)
    run.refresh_from_db()
    assert run.state == "stopped" and not sent(provider, BULK)
    again = syncing.start_sync(integration)
    assert again.pk != run.pk and syncing.start_sync(integration).pk == again.pk
    syncing.push_contacts(integration.pk)
    assert ContactSync.objects.get(pk=again.pk).state == "done"


def test_a_door_for_profiles_that_is_closed_to_the_key_stops_no_event(shop, provider):
    class Open(Listed):
        slug, fills_list, identify_first = "open", False, False

    providers.register(Open())
    values = {"provider": "open", "common_property": "email", "settings": {}, "secrets": {"private_api_key": "x"}}
    integration = make.definition(make.integration(**values), name="Wallet").integration
    provider.replace(responses.POST, SINGLE, json={"success": False}, status=403)
    shop.changed = ["1"]
    for _ in range(4):
        look_again(integration)
        Contact.objects.update(dirty_at=timezone.now())
        syncing.push_contacts(integration.pk)
    record(make.activity(integration.merchant, person="1"))
    drain(integration.pk)
    integration.refresh_from_db()
    providers.unregister("open")
    assert (integration.status, integration.hold_until) == (Status.ACTIVE, None) and len(sent(provider, EVENT)) == 1


def test_the_sweep_rings_for_changes_only_where_there_are_any_and_not_more_often_than_set(
    integration, shop, settings, monkeypatch
):
    rung = []
    monkeypatch.setattr(bell, "async_task", lambda task, pk, **_options: rung.append(task))
    settings.PROFILE_SYNC_SECONDS = 10
    now = timezone.now()

    def sweep_after(seconds):
        Integration.objects.update(push_rung_at=None)
        rung.clear()
        syncing.ring_for_pushes(now + timedelta(seconds=seconds))
        return list(rung)

    assert sweep_after(0) == [], "the first look only notes where to begin"
    assert sweep_after(30) == [], "nobody changed"
    shop.changed = ["1"]
    assert sweep_after(5) == [], "too early"
    assert sweep_after(11) == ["events.tasks.push_contacts"]
    shop.changed = []
    assert sweep_after(600) == ["events.tasks.push_contacts"], "not looked at for long"
