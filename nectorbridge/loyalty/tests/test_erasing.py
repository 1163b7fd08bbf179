"""Erasing a customer: after a whole life no value of theirs stands anywhere, nobody else is touched, and counts stay."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
import responses
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from django_q.models import Task

from events import statistics
from events.drain import drain
from events.identifiers import new_id
from events.models import (
    BulkAction,
    Call,
    Contact,
    Engagement,
    EventDelivery,
    StatBucket,
    StatFrontier,
    Suppression,
)
from events.tracking import urls
from nectorbridge.loyalty import services
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.imports import storing, work
from nectorbridge.loyalty.models import (
    Customer,
    ErasureReport,
    ImportFault,
    Referral,
    Wallet,
    WalletTransaction,
    WebhookReceipt,
)
from nectorbridge.loyalty.nector import inbox
from nectorbridge.loyalty.personal import erasing
from nectorbridge.loyalty.tests.test_door import SECRET, post
from nectorbridge.testing import make

EMAIL, FORMER, PHONE = "canary.kiran@mail.example", "canary.before@mail.example", "+919812300077"
CANARIES = {
    "email": EMAIL,
    "former email": FORMER,
    "phone": PHONE.removeprefix("+"),
    "name": "Kiran Canaryname",
    "customer id": "CANARYID-881",
    "nector id": "shopify-CANARYID-881",
    "coupon": "CANARYCODE",
    "referral code": "CANARYREF",
    "review": "canary-words-of-a-review",
    "order": "CANARYORDER-9",
    "title": "canary-title",
    "address": "12 Canary Street",
}
TRIGGERS = (
    "walletreward_create",
    "coupon_create",
    "order_create",
    "review_create",
    "referral_started",
    "refereenotify_create",
    "lead_update",
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Nobody runs tasks here."""
    monkeypatch.setattr("events.bell.async_task", lambda *_args, **_options: None)


@pytest.fixture
def shop(shop):
    shop.nector_webhook_secret = SECRET
    shop.save()
    return shop


@pytest.fixture
def events_of(shop):
    integration = make.integration(shop)
    for trigger in TRIGGERS:
        make.definition(integration, trigger=trigger, name=f"E {trigger}", destination=f"https://shop.example/{trigger}")
    return integration


def send(integration, refused=""):
    """Send what waits; the provider refuses the first event of whoever has that email, and quotes it."""

    def answer(request):
        records = [row for row in json.loads(request.body)["d"] if row.get("evtData", {}).get("user_email") == refused]
        fault = [{"code": 521, "error": f"{refused} may not", "record": row} for row in records[:1]]
        words = {"status": "partial" if fault else "success", "processed": 1, "unprocessed": fault}
        return 200, {}, json.dumps(words)

    with responses.RequestsMock(assert_all_requests_are_fired=False) as provider:
        provider.add_callback(responses.POST, make.UPLOAD, answer)
        drain(integration.pk)


def live(shop, integration, root) -> Customer:
    """Return a customer after a whole life."""
    canary = CANARIES
    neighbour = Customer.objects.create(merchant=shop, customer_id="n1", email="neighbour@example.com", name="Nina Neighbour")
    services.start_referral(neighbour, friend_email=EMAIL, friend_name=canary["name"])
    customer = Customer.objects.create(
        merchant=shop,
        customer_id=canary["customer id"],
        email=FORMER,
        phone=PHONE,
        name=canary["name"],
        referral_code=canary["referral code"],
    )
    services.credit(customer, 50, canary["title"], timezone.now() + timedelta(days=30))
    send(integration)
    customer.email = EMAIL
    customer.save()
    services.debit(customer, 20, canary["title"])
    services.create_coupon(customer, canary["coupon"], "percent", 10)
    order = services.place_order(customer, canary["order"], 100, number=f"#{canary['order']}", coupon_code=canary["coupon"])
    services.submit_review(services.request_review(customer, "p1", "Cup", order), 5, canary["review"])
    services.complete_referral(services.start_referral(customer, "friend@example.com", friend_name="Femi Friend"))
    Referral.objects.filter(customer=neighbour).update(friend=customer)
    services.set_consent(customer, "email", "subscribed", source="form")
    services.change_tier(customer, "Gold")
    guest = Customer.objects.create(merchant=shop, email="canary.guest@mail.example", name=canary["name"])
    services.credit(guest, 5, canary["title"])
    services.merge_customers(customer, guest)
    webhooks(shop, customer)
    files(shop, root)
    send(integration, refused=EMAIL)
    traces(shop, integration, customer, root)
    return customer


def webhooks(shop, customer):
    person = {"id": f"shopify-{customer.customer_id}", "email": EMAIL, "mobile": PHONE, "name": customer.name}
    address = {"address": CANARIES["address"], "_id": "w1", "amount": 5, "operation": "cr", "customer": person}
    assert post(shop, address).status_code == 200
    inbox.work(shop.pk)
    assert WebhookReceipt.objects.get().customer_ref == customer.ref
    assert post(shop, {"_id": "x", "user": person}, topic="unheard", delivery="d2").status_code == 200
    inbox.work(shop.pk)
    neighbours = {"_id": "w3", "amount": 5, "operation": "cr", "customer": {"id": "n1"}, "told": {"friend": f"Told {EMAIL}"}}
    assert post(shop, neighbours, delivery="d3").status_code == 200
    inbox.work(shop.pk)
    assert post(shop, {"_id": "w4", "amount": 1, "customer": person}, delivery="d4").status_code == 200, "waits"


def files(shop, root):
    head = "email,mobile,points_balance,name"
    rows = [f"{EMAIL},,5,{CANARIES['name']}", "other@example.com,,7,Other", f"{EMAIL} {EMAIL},,5,"]
    done = storing.take(shop, root, io.BytesIO("\n".join([head, *rows]).encode()), "people.csv", 200)
    assert work.start(done, root, False)
    while work.work(done.pk):
        pass
    assert ImportFault.objects.filter(value__contains=EMAIL).exists()
    storing.take(shop, root, io.BytesIO("\n".join([head, *rows]).encode()), f"{EMAIL}.csv", 200)  # a draft, not started


def traces(shop, integration, customer, root):
    for delivery in EventDelivery.objects.filter(customer_ref=customer.ref)[:2]:
        Engagement.objects.create(delivery=delivery, kind="open", source="pixel")
        Engagement.objects.create(delivery=delivery, kind="click", source="callback", once=f"{EMAIL}:{delivery.pk.hex[-9:]}")
    assert Contact.objects.filter(customer_ref=customer.ref).exists()
    Suppression.objects.create(merchant=shop, customer_ref=customer.ref, kind="complaint")
    profile = json.dumps({"identity": CANARIES["customer id"], "email": EMAIL})
    Call.objects.create(
        integration=integration,
        kind="contact",
        started_at=timezone.now(),
        ended_at=timezone.now(),
        lease_until=timezone.now(),
        request=f"POST x\n\n{profile}",
        response=f"{EMAIL} was taken",
    )
    BulkAction.objects.create(merchant=shop, what="retry", filter={"search": EMAIL}, state="done")
    Task.objects.create(
        id="t" * 32, name="t", func="f", started=timezone.now(), stopped=timezone.now(), success=False, result=f"Key {EMAIL}"
    )
    for row in (customer, customer.coupons.get(), customer.wallet):
        LogEntry.objects.create(
            user=root,
            content_type=ContentType.objects.get_for_model(row),
            object_id=row.pk,
            object_repr=str(row)[:200],
            action_flag=CHANGE,
            change_message=json.dumps([{"changed": {"name": "coupon", "object": CANARIES["coupon"], "fields": ["x"]}}]),
        )


def everything() -> dict[str, str]:
    """Return every row of every table as text, sessions aside."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        if model is Session or model._meta.proxy:
            continue
        for row in model._base_manager.all():
            text = [_read(getattr(row, field.attname)) for field in model._meta.concrete_fields]
            found[f"{model._meta.label_lower} {row.pk}"] = " | ".join(text)
    return found


def _read(value) -> str:
    if isinstance(value, bytes | memoryview):
        return json.dumps(storing.unpacked(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, default=str)


def naming(canaries=CANARIES) -> dict[str, list[str]]:
    """Return where each canary stands."""
    rows = everything()
    return {
        name: sorted(where for where, text in rows.items() if word.lower() in text.lower()) for name, word in canaries.items()
    }


def counted() -> list[tuple]:
    """Return the statistics, counted anew from the beginning."""
    StatBucket.objects.all().delete()
    StatFrontier.objects.all().delete()
    while statistics.fold(timezone.now() + timedelta(hours=3), most=1000):
        pass
    return sorted(StatBucket.objects.values_list("definition", "starts_at", "figure", "reason", "kept", "gone"))


@pytest.fixture
def root(django_user_model):
    return django_user_model.objects.create_superuser("root")


def test_after_a_whole_life_no_value_of_theirs_stands_anywhere(shop, events_of, root):
    customer = live(shop, events_of, root)
    before = naming()
    assert [name for name, rows in before.items() if not rows] == [], "every canary was planted"
    assert any(row.startswith("events.call ") for row in before["email"])
    assert any(row.startswith("events.contact ") for row in before["former email"])
    assert {row.split()[0] for row in before["email"]} >= {
        "events.eventdelivery",
        "events.deliveryattempt",
        "events.engagement",
        "events.bulkaction",
        "django_q.task",
        "loyalty.webhookreceipt",
        "loyalty.importpart",
        "loyalty.importfault",
        "loyalty.importrun",
        "loyalty.referral",
    }
    EventDelivery.objects.filter(status__in=["queued", "retrying", "held"]).update(status="cancelled")
    numbers, states = counted(), sorted(EventDelivery.objects.values_list("id", "status", "reason", "occurred_at", "sent_at"))
    engagements = Engagement.objects.count()

    report = services.erase_customer(customer, by=root)

    assert report.state == "done"
    assert naming() == {name: [] for name in CANARIES}
    assert naming({"guest": "canary.guest"}) == {"guest": []}
    assert counted() == numbers
    assert sorted(EventDelivery.objects.values_list("id", "status", "reason", "occurred_at", "sent_at")) == states
    assert Engagement.objects.count() == engagements


def test_nobody_else_is_touched(shop, events_of, root):
    elsewhere = make.merchant("elsewhere")
    abroad = make.definition(make.integration(elsewhere))
    twin = Customer.objects.create(merchant=elsewhere, customer_id=CANARIES["customer id"], email=EMAIL, name="Kiran Canaryname")
    namesake = Customer.objects.create(merchant=shop, customer_id="n2", email=f"x.{EMAIL}", name="Kiran Canaryname")
    customer = live(shop, events_of, root)
    services.credit(twin, 30)
    services.credit(namesake, 40, "hers")
    send(abroad.integration)
    WebhookReceipt.objects.create(
        merchant=shop, topic="x", content_hash="h", next_try_at=None, body={"email": f"x.{EMAIL}", "name": "Kiran Canaryname"}
    )
    send(events_of)
    people = Customer.objects.exclude(pk=customer.pk)
    theirs = {
        "customers": people,
        "wallets": Wallet.objects.filter(customer__in=people),
        "coins": WalletTransaction.objects.filter(wallet__customer__in=people),
        "deliveries": EventDelivery.objects.filter(customer_ref__in=[twin.ref, namesake.ref]),
        "webhooks": WebhookReceipt.objects.filter(topic="x"),
        "contacts": Contact.objects.filter(customer_ref__in=[twin.ref, namesake.ref]),
        "calls": Call.objects.filter(integration=abroad.integration),
    }
    keys = {name: list(rows.order_by("pk").values_list("pk", flat=True)) for name, rows in theirs.items()}
    before = {name: list(rows.order_by("pk").values()) for name, rows in theirs.items()}
    assert all(keys.values())
    services.erase_customer(customer)
    for name, rows in theirs.items():
        assert list(rows.model._base_manager.filter(pk__in=keys[name]).order_by("pk").values()) == before[name], name
    assert EventDelivery.objects.get(merchant=elsewhere).recipient["email"] == EMAIL
    assert any(EMAIL in text for text in Call.objects.filter(integration=abroad.integration).values_list("request", flat=True))
    assert Referral.objects.get(customer__customer_id="n1").friend_email == ""
    assert LogEntry.objects.filter(object_id=customer.pk).values_list("object_repr", flat=True)[0] == "(erased)"


def test_the_report_says_how_many_of_what_and_not_who(shop, events_of, root):
    customer = live(shop, events_of, root)
    deliveries = EventDelivery.objects.filter(customer_ref__in=customer.refs()).count()
    report = services.erase_customer(customer, by=root)
    assert {key: report.counts[key] for key in ("loyalty.customer", "loyalty.coupon", "loyalty.order", "loyalty.wallet")} == {
        "loyalty.customer": 1,
        "loyalty.coupon": 1,
        "loyalty.order": 1,
        "loyalty.wallet": 1,
    }
    assert report.counts["deliveries"] >= deliveries and report.counts["receipts"] == 3 and report.counts["import_rows"] == 2
    assert (report.asked_by, report.customer_key, report.message) == (root, None, "")
    assert {ref.partition(":")[0] for ref in EventDelivery.objects.values_list("customer_ref", flat=True)} >= {"erased"}


def test_what_waits_is_withdrawn_and_what_is_being_sent_refuses(shop, events_of):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email=EMAIL)
    services.credit(customer, 5)
    EventDelivery.objects.update(status="sending")
    with pytest.raises(services.ErasureError, match="Try again in a minute"):
        services.erase_customer(customer)
    assert not ErasureReport.objects.exists() and EventDelivery.objects.get().recipient["email"] == EMAIL

    EventDelivery.objects.update(status="held")
    report = services.erase_customer(customer)
    row = EventDelivery.objects.get()
    assert (row.status, row.next_attempt_at, row.recipient, row.payload) == ("cancelled", None, {}, {})
    assert (row.destination, row.idempotency_key) == ("", f"erased:{row.pk.hex if connection.vendor == 'sqlite' else row.pk}")
    assert report.counts["withdrawn"] == 1
    send(events_of)
    assert EventDelivery.objects.get().status == "cancelled", "nothing is sent any more"


def test_a_profile_on_its_way_refuses_as_well(shop, events_of):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email=EMAIL)
    now = timezone.now()
    call = Call.objects.create(
        integration=events_of, kind="contact", started_at=now, lease_until=now, request=f"email={EMAIL.replace('@', '%40')}"
    )
    with pytest.raises(services.ErasureError):
        services.erase_customer(customer)
    Call.objects.filter(pk=call.pk).update(ended_at=now)
    assert services.erase_customer(customer).counts["calls"] == 1


def test_a_message_that_begins_to_leave_meanwhile_is_waited_for(shop, events_of, root, monkeypatch):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email=EMAIL)
    report = erasing.start(customer, root)
    services.credit(customer, 5)
    EventDelivery.objects.update(status="sending")
    erasing.work(report.pk)
    report.refresh_from_db()
    assert (report.state, report.message) == ("running", "It waits for a message that is being sent.")
    EventDelivery.objects.update(status="sent")
    ErasureReport.objects.update(next_at=timezone.now())
    erasing.work(report.pk)
    report.refresh_from_db()
    assert report.state == "done" and not Customer.objects.exists()
    assert EventDelivery.objects.get().recipient == {}


@pytest.mark.parametrize("after", range(14))
def test_killed_anywhere_it_goes_on_and_counts_nothing_twice(shop, events_of, root, monkeypatch, after):
    customer = live(shop, events_of, root)
    EventDelivery.objects.filter(status__in=["queued", "retrying", "held"]).update(status="cancelled")
    report, steps, seen = erasing.start(customer, root), list(erasing.STEPS), []

    def dying(step):
        def run(work, cursor):
            part = step(work, cursor)
            seen.append(part)
            if len(seen) == after + 1:
                raise KeyboardInterrupt
            return part

        return run

    monkeypatch.setattr(erasing, "STEPS", tuple(map(dying, steps)))
    try:
        erasing.work(report.pk)
    except KeyboardInterrupt:
        monkeypatch.setattr(erasing, "STEPS", tuple(steps))
        erasing.work(report.pk)
    report.refresh_from_db()
    assert report.state == "done" and naming() == {name: [] for name in CANARIES}
    assert report.counts["loyalty.customer"] == 1 and report.counts["receipts"] == 3
    assert report.counts["deliveries"] == EventDelivery.objects.filter(customer_ref__startswith="erased:").count()


def test_what_was_recorded_while_it_ran_is_found_two_minutes_later(shop, events_of):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email=EMAIL)
    services.credit(customer, 5)
    late = {field.attname: value for field, value in _columns(EventDelivery.objects.get())}
    report = services.erase_customer(customer)
    EventDelivery.objects.create(**late | {"id": new_id(), "idempotency_key": "late"})
    assert erasing.look_again(timezone.now()) == 0
    assert erasing.look_again(timezone.now() + timedelta(minutes=3)) == 1
    report.refresh_from_db()
    assert (report.alias, report.refs, report.counts["deliveries"]) == (None, [], 2)
    assert [row.recipient for row in EventDelivery.objects.all()] == [{}, {}]
    assert erasing.look_again(timezone.now() + timedelta(minutes=3)) == 0


def _columns(row):
    return [(field, getattr(row, field.attname)) for field in row._meta.concrete_fields]


def test_links_of_theirs_lead_nowhere_and_opens_still_count(shop, events_of, client):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email=EMAIL)
    services.credit(customer, 5)
    send(events_of)
    row = EventDelivery.objects.get()
    links = urls(row.pk)
    assert client.get(links["nector_click_url"]).status_code == 302
    services.erase_customer(customer)
    assert client.get(links["nector_click_url"]).status_code == 404
    assert client.get(links["nector_open_url"]).status_code == 200


def test_who_comes_again_is_somebody_new(shop, events_of):
    person = {"id": f"shopify-{CANARIES['customer id']}", "email": EMAIL}
    body = {"_id": "w1", "amount": 5, "operation": "cr", "customer": person}
    post(shop, body)
    inbox.work(shop.pk)
    first = Customer.objects.get()
    services.erase_customer(first)
    assert not Customer.objects.exists() and not WebhookReceipt.objects.exists()
    assert post(shop, body).json()["stored"], "nothing is remembered of it"
    inbox.work(shop.pk)
    assert Customer.objects.get().pk != first.pk


def test_an_erasure_asked_for_twice_is_one(shop, root):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email=EMAIL)
    first = erasing.start(customer, root)
    assert erasing.start(customer, root) == first


def test_a_friend_who_never_became_a_customer_is_forgotten_by_address(shop, events_of, customer):
    referral = services.start_referral(customer, friend_email="Fay@Friend.example", friend_name="Fay Friendly")
    send(events_of)
    assert naming({"friend": "fay@friend", "name": "fay friendly"})["friend"]
    counts = services.erase_friend(shop, email="fay@friend.example")
    assert naming({"friend": "fay@friend", "name": "fay friendly"}) == {"friend": [], "name": []}
    referral.refresh_from_db()
    assert (referral.status, counts["deliveries"], counts["referrals"]) == ("started", 1, 1)
    assert Customer.objects.get() == customer


def test_the_host_forgets_by_reference_also_a_former_one(shop, events_of, customer):
    guest = Customer.objects.create(merchant=shop, email="canary.guest@mail.example")
    services.credit(guest, 5)
    former = guest.ref
    services.merge_customers(customer, guest)
    assert LoyaltyHost().erase(make.merchant("elsewhere").pk, [former]) == {}
    counts = LoyaltyHost().erase(shop.pk, [former])
    assert counts["loyalty.customer"] == 1 and counts["deliveries"] == 1
    assert not Customer.objects.exists() and naming({"guest": "canary.guest"}) == {"guest": []}
