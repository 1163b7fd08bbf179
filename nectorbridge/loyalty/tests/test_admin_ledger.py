from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events.models import EventDelivery
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Coupon, Customer, Wallet, WalletTransaction
from nectorbridge.testing import make

ADD = reverse("admin:loyalty_wallettransaction_add")


def page(row, verb: str = "change") -> str:
    return reverse(f"admin:loyalty_{row._meta.model_name}_{verb}", args=[row.pk])


def balance(customer) -> int:
    return Wallet.objects.get(customer=customer).balance


def test_granting_moves_the_balance_is_announced_and_links_what_is_sent(owner, customer):
    make.definition(make.integration(customer.merchant))
    grant = {"amount": "120", "title": "Thank you", "expires_on": "2030-11-30", "portal": "pos"}
    answer = owner.post(page(customer, "grant"), grant, follow=True)
    assert balance(customer) == 120
    entry, delivery = WalletTransaction.objects.get(), EventDelivery.objects.get()
    assert (entry.title, entry.portal) == ("Thank you", "pos")
    assert entry.expires_at == datetime(2030, 11, 30, 18, 29, 59, tzinfo=UTC)  # the end of that day in Kolkata
    text = answer.content.decode()
    assert "Asha Rao got 120 points." in text and f"customer_ref__exact={customer.ref}" in text
    assert reverse("admin:events_eventdelivery_change", args=[delivery.pk]) in text


@pytest.mark.parametrize("amount", ["0", "-5", "", "1.5", "nonsense", "9" * 30])
def test_an_impossible_amount_is_an_error_at_its_field(owner, customer, amount):
    answer = owner.post(page(customer, "grant"), {"amount": amount})
    assert answer.context["form"].errors["amount"] and not WalletTransaction.objects.exists()


def test_a_day_that_is_over_is_refused(owner, customer):
    answer = owner.post(page(customer, "grant"), {"amount": "1", "expires_on": "2020-01-01"})
    assert "over already" in str(answer.context["form"].errors["expires_on"])


def test_taking_more_than_there_is_says_how_much_there_is(owner, customer):
    services.credit(customer, 50)
    wallet = Wallet.objects.get()
    answer = owner.post(page(wallet, "take"), {"amount": "51"})
    assert "The wallet has 50" in str(answer.context["form"].errors["amount"]) and balance(customer) == 50
    owner.post(page(wallet, "take"), {"amount": "50"})
    assert balance(customer) == 0


def test_a_coupon_is_created_once_per_code(owner, customer):
    coupon = {"code": "THANKS10", "value_class": "percent", "value": "10"}
    answer = owner.post(page(customer, "create_coupon"), coupon, follow=True)
    assert "got coupon THANKS10" in answer.content.decode() and Coupon.objects.count() == 1
    again = owner.post(page(customer, "create_coupon"), coupon)
    assert "Choose another code" in str(again.context["form"].errors["code"]) and Coupon.objects.count() == 1


def test_more_than_everything_off_is_refused(owner, customer):
    answer = owner.post(page(customer, "create_coupon"), {"code": "X", "value_class": "percent", "value": "101"})
    assert "100 per cent" in str(answer.context["form"].errors["value"])


@pytest.mark.parametrize("verb", ["grant", "create_coupon"])
def test_looking_at_a_verb_changes_nothing(owner, customer, verb):
    assert owner.get(page(customer, verb), {"amount": 5, "code": "X"}).status_code == 200
    assert not WalletTransaction.objects.exists() and not Coupon.objects.exists()


@pytest.mark.parametrize("who", ["viewer", "stranger"])
@pytest.mark.parametrize("verb", ["grant", "create_coupon"])
def test_only_owners_and_managers_of_the_merchant_act(request, customer, who, verb):
    client = request.getfixturevalue(who)
    assert client.post(page(customer, verb), {"amount": 5}).status_code == 403
    assert client.get(page(customer, verb)).status_code == 403
    assert not WalletTransaction.objects.exists()


def test_another_merchants_staff_see_nothing(stranger, customer):
    services.credit(customer, 5)
    coupon = services.create_coupon(customer, "SECRETCODE", "percent", 1)
    for row in (customer, Wallet.objects.get(), WalletTransaction.objects.get(), coupon):
        listed = stranger.get(reverse(f"admin:loyalty_{row._meta.model_name}_changelist"), {"q": "asha@example.com"})
        assert listed.context["cl"].result_count == 0
        assert stranger.get(page(row)).status_code == 302
    choices = stranger.get(
        reverse("admin:autocomplete"), {"app_label": "loyalty", "model_name": "coupon", "field_name": "customer"}
    )
    assert choices.json()["results"] == []


def test_a_foreign_wallet_cannot_be_written_to(stranger, customer):
    wallet = services.credit(customer, 5).wallet
    answer = stranger.post(ADD, {"wallet": wallet.pk, "operation": "cr", "amount": 5, "title": "", "portal": ""})
    assert "wallet" in answer.context["adminform"].form.errors and balance(customer) == 5


def test_saving_a_transaction_keeps_the_balance(owner, customer):
    wallet = services.credit(customer, 5).wallet
    owner.post(ADD, {"wallet": wallet.pk, "operation": "cr", "amount": 7, "title": "Gift", "portal": ""})
    owner.post(ADD, {"wallet": wallet.pk, "operation": "dr", "amount": 2, "title": "Use", "portal": "pos"})
    assert balance(customer) == 10


def test_an_overdraft_is_an_error_at_the_amount(owner, customer):
    wallet = services.credit(customer, 5).wallet
    answer = owner.post(ADD, {"wallet": wallet.pk, "operation": "dr", "amount": 6, "title": "", "portal": ""})
    assert "The wallet has 5" in str(answer.context["adminform"].form.errors["amount"]) and balance(customer) == 5


def test_an_overdraft_that_only_the_ledger_sees_is_said_as_well(owner, customer):
    wallet = services.credit(customer, 5).wallet
    with patch("nectorbridge.loyalty.forms.spendable", return_value=99):
        answer = owner.post(ADD, {"wallet": wallet.pk, "operation": "dr", "amount": 6, "title": "", "portal": ""}, follow=True)
    assert "The wallet has 5" in answer.content.decode() and balance(customer) == 5


def test_of_an_old_transaction_only_the_title_changes(owner, customer):
    entry = services.credit(customer, 5)
    owner.post(page(entry), {"title": "Better words", "amount": 900, "operation": "dr"})
    entry.refresh_from_db()
    assert (entry.title, entry.amount, entry.operation, balance(customer)) == ("Better words", 5, "cr", 5)


def test_the_ledger_deletes_nothing_even_for_administrators(customer):
    entry, coupon = services.credit(customer, 5), services.create_coupon(customer, "X", "percent", 1)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    for row in (customer, entry.wallet, entry, coupon):
        assert client.post(page(row, "delete"), {"post": "yes"}).status_code == 403
    assert Customer.objects.exists() and WalletTransaction.objects.exists() and Coupon.objects.exists()


def test_a_coupon_is_marked_as_used_once(owner, customer):
    coupon = services.create_coupon(customer, "X", "percent", 1)
    assert owner.get(page(coupon, "mark_used")).status_code == 200
    coupon.refresh_from_db()
    assert coupon.status == "issued"
    owner.post(page(coupon, "mark_used"), {"_form_submitted": "on"})
    coupon.refresh_from_db()
    assert coupon.status == "redeemed"
    assert owner.post(page(coupon, "mark_used"), {"_form_submitted": "on"}).status_code == 403


def test_pages_speak_the_merchants_word_for_coins(owner, customer):
    services.credit(customer, 5)
    assert "Grant points" in owner.get(page(customer)).content.decode()
    assert "Take points" in owner.get(page(Wallet.objects.get())).content.decode()


def test_a_new_coupon_through_the_form_is_issued(owner, customer):
    form = {"customer": customer.pk, "code": "NEW", "value_class": "amount", "value": "5", "portal": ""}
    owner.post(reverse("admin:loyalty_coupon_add"), form)
    assert Coupon.objects.get().status == "issued"


def test_a_new_customer_belongs_to_the_only_merchant_there_is(owner, customer):
    form = owner.get(reverse("admin:loyalty_customer_add")).context["adminform"].form
    assert form["merchant"].value() == customer.merchant_id


def test_large_balances_are_grouped(owner, customer):
    services.credit(customer, 1_234_567, "Welcome")
    assert "1,234,567 points" in owner.get(page(customer)).content.decode()


def test_a_customers_page_says_why_something_was_not_sent_and_what_they_said(owner, shop, customer):
    make.definition(make.integration(shop))
    services.set_consent(customer, "email", "unsubscribed", source="preference page")
    services.credit(customer, 50)
    page = owner.get(reverse("admin:loyalty_customer_change", args=[customer.pk])).content.decode()
    assert "The customer did not consent" in page and "preference page" in page
