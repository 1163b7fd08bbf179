"""One person as two customers: chosen, looked at side by side, made one; and what was sent to both is found."""

from __future__ import annotations

import html

import pytest
from django.test import Client
from django.urls import reverse

from events.models import EventDelivery
from nectorbridge.bench.plans import explained
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Customer, MergedCustomer, Wallet
from nectorbridge.testing import make

DELIVERIES = reverse("admin:events_eventdelivery_changelist")


@pytest.fixture
def guest(shop):
    """The same person, who ordered as a guest."""
    return Customer.objects.create(merchant=shop, email="ASHA@example.com", phone="+919876543210", name="A. Rao")


@pytest.fixture
def foreign(db):
    """Somebody else's customer with the same address."""
    return Customer.objects.create(
        merchant=make.merchant("another"), customer_id="x1", email="asha@example.com", name="Not Yours"
    )


def page(row, verb: str = "change") -> str:
    return reverse(f"admin:loyalty_{row._meta.model_name}_{verb}", args=[row.pk])


def text_of(answer) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_who_looks_like_the_same_person_is_proposed_first(owner, customer, guest, foreign):
    Customer.objects.create(merchant=customer.merchant, email="vik@example.com", name="Vikram")
    text = text_of(owner.get(page(customer, "merge")))
    assert f"other={guest.pk}" in text and "A. Rao" in text
    assert "Vikram" not in text and "Not Yours" not in text
    by_phone = Customer.objects.create(merchant=customer.merchant, phone="919876543210", name="By Phone")
    assert f"other={by_phone.pk}" in text_of(owner.get(page(guest, "merge")))


@pytest.mark.parametrize("query", ["vik@example.com", "Vikr", "c7"])
def test_anybody_else_of_the_merchant_is_found_by_search(owner, customer, query):
    other = Customer.objects.create(merchant=customer.merchant, customer_id="c7", email="vik@example.com", name="Vikram")
    text = text_of(owner.get(page(customer, "merge"), {"q": query}))
    assert f"other={other.pk}" in text and f"other={customer.pk}" not in text


@pytest.mark.parametrize("query", ["asha@example.com", "c1", "nobody at all"])
def test_neither_oneself_nor_another_merchants_customer_is_found(owner, customer, foreign, query):
    text = text_of(owner.get(page(customer, "merge"), {"q": query}))
    assert "has no other customer" in text and "Not Yours" not in text and "other=" not in text


def test_both_are_shown_side_by_side_and_looking_changes_nothing(owner, customer, guest):
    services.credit(customer, 1200)
    services.credit(guest, 30)
    services.create_coupon(guest, "THANKS10", "percent", 10)
    text = text_of(owner.get(page(customer, "merge"), {"other": guest.pk}))
    for words in ("c1", "asha@example.com", "ASHA@example.com", "+919876543210", "1,200 points", "30 points", "cannot be undone"):
        assert words in text
    assert f"{page(guest, 'merge')}?other={customer.pk}" in text, "the other way round"
    assert Customer.objects.count() == 2 and Wallet.objects.get(customer=guest).balance == 30


def test_merging_makes_them_one_and_the_old_address_leads_on(owner, customer, guest):
    services.credit(customer, 100)
    services.credit(guest, 30)
    gone = page(guest)
    answer = owner.post(page(customer, "merge"), {"other": guest.pk}, follow=True)
    assert "A. Rao and Asha Rao are one customer now." in text_of(answer)
    kept = Customer.objects.get()
    assert (kept.pk, kept.phone, Wallet.objects.get().balance) == (customer.pk, "+919876543210", 130)
    assert answer.redirect_chain[-1][0] == page(customer)
    led = owner.get(gone, follow=True)
    assert led.redirect_chain == [(page(customer), 302)] and "was merged into this one" in text_of(led)
    third = Customer.objects.create(merchant=customer.merchant, customer_id="c3")
    owner.post(page(third, "merge"), {"other": customer.pk})
    assert owner.get(gone).url == owner.get(page(customer)).url == page(third), "however often"


def test_what_was_sent_to_either_is_found_at_the_one_that_is_left(owner, customer, guest):
    integration = make.integration(customer.merchant, settings={"common_property": "email"})
    make.definition(integration)
    services.credit(customer, 1, "to the one")
    services.credit(guest, 2, "to the guest")
    stranger = Customer.objects.create(merchant=customer.merchant, customer_id="c9")
    services.credit(stranger, 3)
    theirs = list(EventDelivery.objects.filter(customer_ref__in=[customer.ref, guest.ref]))
    owner.post(page(customer, "merge"), {"other": guest.pk})
    text = text_of(owner.get(page(customer)))
    places = [reverse("admin:events_eventdelivery_change", args=[row.pk]) for row in theirs]
    assert len(places) == 2 and all(place in text for place in places)
    address = f"{DELIVERIES}?merchant__id__exact={customer.merchant_id}&customer_ref__exact={customer.pk}"
    assert f"{address}&customer_ref__exact={guest.pk}" in text
    listed = owner.get(f"{address}&customer_ref__exact={guest.pk}")
    assert listed.context["cl"].result_count == 2 and all(place in text_of(listed) for place in places)
    plans = explained(lambda: owner.get(page(customer)))
    assert not any("SCAN events_eventdelivery" in plan for plan in plans)


@pytest.mark.parametrize("other", ["", "0", "nonsense", "9" * 30, "self", "foreign"])
def test_who_cannot_be_merged_is_refused(owner, customer, foreign, other):
    key = {"self": customer.pk, "foreign": foreign.pk}.get(other, other)
    assert "Not Yours" not in text_of(owner.get(page(customer, "merge"), {"other": key}))
    answer = owner.post(page(customer, "merge"), {"other": key}, follow=True)
    assert "There is no such customer any more" in text_of(answer)
    assert Customer.objects.count() == 2 and not MergedCustomer.objects.exists()


def test_a_second_post_of_the_same_form_changes_nothing(owner, customer, guest):
    owner.post(page(customer, "merge"), {"other": guest.pk})
    answer = owner.post(page(customer, "merge"), {"other": guest.pk}, follow=True)
    assert "There is no such customer any more" in text_of(answer) and MergedCustomer.objects.count() == 1


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_only_owners_and_managers_of_the_merchant_merge(request, customer, guest, who):
    client = request.getfixturevalue(who)
    assert client.get(page(customer, "merge"), {"other": guest.pk}).status_code == 403
    assert client.post(page(customer, "merge"), {"other": guest.pk}).status_code == 403
    assert Customer.objects.count() == 2
    if who == "viewer":
        assert page(customer, "merge") not in text_of(client.get(page(customer)))


def test_a_manager_may_and_nobody_without_logging_in(manager, customer, guest):
    answer = Client().post(page(customer, "merge"), {"other": guest.pk})
    assert "/login/" in answer.url and Customer.objects.count() == 2
    assert page(customer, "merge") in text_of(manager.get(page(customer)))
    manager.post(page(customer, "merge"), {"other": guest.pk})
    assert Customer.objects.count() == 1


def test_the_old_address_tells_another_merchants_staff_nothing(stranger, owner, customer, guest):
    gone = page(guest)
    owner.post(page(customer, "merge"), {"other": guest.pk})
    assert stranger.get(gone).url == stranger.get(page(customer)).url == reverse("admin:index")
