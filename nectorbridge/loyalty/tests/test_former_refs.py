"""Who was merged is known under a former reference: what the host says of it, and what is sent to it again."""

from __future__ import annotations

import pytest

from events.host import Host
from events.models import EventDelivery, Suppression
from events.replay import replay
from events.verbs import retry
from nectorbridge.loyalty import services
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.models import Customer
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
host = LoyaltyHost()


@pytest.fixture
def guest(shop):
    return Customer.objects.create(merchant=shop, email="guest@example.com", name="Guest")


@pytest.fixture
def event(shop):
    return make.definition(make.integration(shop, common_property="email"))


def test_a_former_reference_leads_to_who_they_are_now_and_others_to_themselves(shop, customer, guest, django_assert_num_queries):
    former, kept = guest.ref, services.merge_customers(customer, guest)
    with django_assert_num_queries(1):
        assert host.resolve_refs(shop.pk, [former, kept.ref, "friend:x"]) == {
            former: kept.ref,
            kept.ref: kept.ref,
            "friend:x": "friend:x",
        }
    assert (host.resolve_ref(former), host.resolve_ref("friend:x")) == (kept.ref, "friend:x")
    assert [profile.ref for profile in host.profiles(shop.pk, [former])] == [kept.ref]
    assert len(host.profiles(shop.pk, [former, kept.ref])) == 1, "one person, named twice"


def test_nothing_is_said_of_another_merchants_former_references(customer, guest):
    former, elsewhere = guest.ref, make.merchant("elsewhere")
    services.merge_customers(customer, guest)
    assert host.resolve_refs(elsewhere.pk, [former]) == {former: former}
    assert host.profiles(elsewhere.pk, [former]) == []


def test_a_host_that_merges_nobody_leaves_references_alone():
    assert (Host().resolve_refs(1, ["a"]), Host().resolve_ref("a")) == ({"a": "a"}, "a")


def test_a_replay_of_a_former_reference_goes_to_who_they_are_now(customer, guest, event):
    services.credit(guest, 10)
    old, former = EventDelivery.objects.get(), guest.ref
    EventDelivery.objects.update(status="sent")
    services.merge_customers(customer, guest)
    new = replay(old, "t1").delivery
    assert (new.customer_ref, new.recipient["email"]) == (customer.ref, "asha@example.com")
    old.refresh_from_db()
    assert (old.customer_ref, old.recipient["email"]) == (former, "guest@example.com"), "what was sent stays as it was"


def test_a_retry_of_a_former_reference_is_addressed_anew_and_heeds_a_complaint_under_either_name(customer, guest, event):
    services.credit(guest, 10)
    EventDelivery.objects.update(status="failed")
    services.merge_customers(customer, guest)
    assert retry(EventDelivery.objects.get())
    assert EventDelivery.objects.get().recipient["email"] == "asha@example.com"

    EventDelivery.objects.update(status="failed")
    Suppression.objects.create(merchant=customer.merchant, customer_ref=customer.ref, kind="complaint")
    assert not retry(EventDelivery.objects.get())
    assert EventDelivery.objects.get().reason == "suppressed"
