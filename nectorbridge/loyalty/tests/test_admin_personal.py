"""Export and erase in the admin: who may, what is asked before, the file, and the report."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from events.models import EventDelivery, Suppression
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Customer, ErasureReport
from nectorbridge.loyalty.tests.conftest import login
from nectorbridge.testing import make


@pytest.fixture(autouse=True)
def rings(monkeypatch):
    rung = []
    monkeypatch.setattr("events.bell.async_task", lambda task, pk, **_options: rung.append((task, pk)))
    return rung


@pytest.fixture
def event(shop):
    return make.definition(make.integration(shop))


def address(customer, verb):
    return reverse(f"admin:loyalty_customer_{verb}", args=[customer.pk])


def text_of(response):
    return response.content.decode()


def read(response):
    return json.loads(b"".join(response.streaming_content))


# --- Export ----------------------------------------------------------------------------------------------------------------
def test_the_file_has_all_that_is_stored_and_a_name_that_tells_nothing(owner, customer, event):
    guest = Customer.objects.create(merchant=customer.merchant, email="guest@example.com")
    services.credit(guest, 5, "as a guest")
    former = guest.ref
    services.merge_customers(customer, guest)
    services.credit(customer, 50, "welcome")
    services.debit(customer, 10)
    services.create_coupon(customer, "THANKS", "percent", 10)
    services.place_order(customer, "o1", 100)
    services.submit_review(customer, 4, "Good cups")
    services.start_referral(customer, friend_email="femi@example.com")
    services.set_consent(customer, "email", "unsubscribed", source="form")
    Suppression.objects.create(merchant=customer.merchant, customer_ref=customer.ref, kind="complaint")

    answer = owner.post(address(customer, "export"))

    name = answer["Content-Disposition"]
    assert name.startswith('attachment; filename="personal-data-') and "asha" not in name.lower() and "c1" not in name
    assert answer.streaming and "no-store" in answer["Cache-Control"]
    found = read(answer)
    assert found["customer"]["email"] == "asha@example.com" and found["former_keys"][0]["former_key"] == int(former)
    assert {row["recipient"]["email"] for row in found["deliveries"]} == {"asha@example.com", "guest@example.com"}
    assert [row["title"] for row in found["wallet_transactions"]] == ["as a guest", "welcome", ""]
    assert found["wallet"]["balance"] == 45 and found["uses_of_lots"] and found["coupons"][0]["code"] == "THANKS"
    assert found["reviews"][0]["text"] == "Good cups" and found["orders"][0]["order_id"] == "o1"
    assert found["referrals"][0]["friend_email"] == "femi@example.com"
    assert found["consent_changes"][0]["source"] == "form" and found["suppressions"][0]["kind"] == "complaint"
    assert LogEntry.objects.get(object_id=customer.pk).get_change_message() == "All data was exported."


def test_an_export_has_nothing_of_anybody_else(owner, customer, event, shop):
    other = Customer.objects.create(merchant=shop, customer_id="c2", email="other@example.com")
    services.credit(other, 5)
    services.start_referral(other, friend_email=customer.email)
    text = b"".join(owner.post(address(customer, "export")).streaming_content).decode()
    assert "other@example.com" not in text and '"c2"' not in text
    assert json.loads(text)["referred_by_others"][0]["friend_email"] == customer.email


def test_pages_of_deliveries_follow_each_other(owner, customer, event, monkeypatch):
    monkeypatch.setattr("events.personal.PAGE", 2)
    for amount in range(1, 6):
        services.credit(customer, amount)
    found = read(owner.post(address(customer, "export")))
    assert [row["payload"]["coins"] for row in found["deliveries"]] == [1, 2, 3, 4, 5]
    assert len(found["wallet_transactions"]) == 5


# --- Erase -----------------------------------------------------------------------------------------------------------------
def test_it_is_asked_for_with_a_word_and_nothing_happens_without_it(owner, customer):
    shown = text_of(owner.get(address(customer, "erase")))
    assert "Type “c1” to confirm" in shown and "This cannot be undone" in shown
    answer = owner.post(address(customer, "erase"), {"word": "c2"})
    assert answer.status_code == 400 and "not what stands there" in text_of(answer)
    assert Customer.objects.get() == customer and not ErasureReport.objects.exists()


def test_the_report_follows_and_names_nobody(owner, customer, event):
    services.credit(customer, 5)
    answer = owner.post(address(customer, "erase"), {"word": "c1"}, follow=True)
    report = ErasureReport.objects.get()
    assert answer.redirect_chain == [(reverse("admin:loyalty_erasurereport_change", args=[report.pk]), 302)]
    shown = text_of(answer)
    assert report.state == "done" and not Customer.objects.exists()
    for words in ("Deliveries: made anonymous", "Wallet transactions", "What remains, and why", "Delete User Profile API"):
        assert words in shown
    assert "asha" not in shown.lower()
    assert "asha" not in text_of(owner.get(reverse("admin:loyalty_erasurereport_changelist"))).lower()
    assert owner.get(reverse("admin:loyalty_erasurereport_changelist")).status_code == 200
    progress = owner.get(reverse("admin:loyalty_erasure_progress", args=[report.pk])).json()
    assert (progress["over"], progress["share"]) == (True, 100)


def test_a_message_on_its_way_is_said_and_nothing_is_erased(owner, customer, event):
    services.credit(customer, 5)
    EventDelivery.objects.update(status="sending")
    answer = owner.post(address(customer, "erase"), {"word": "c1"}, follow=True)
    assert "Try again in a minute" in text_of(answer) and Customer.objects.exists()


def test_a_customer_without_an_id_is_confirmed_by_what_there_is(owner, shop):
    by_email = Customer.objects.create(merchant=shop, email="a@b.example")
    nameless = Customer.objects.create(merchant=shop)
    assert "Type “a@b.example” to confirm" in text_of(owner.get(address(by_email, "erase")))
    owner.post(address(nameless, "erase"), {"word": f"#{nameless.pk}"})
    assert list(Customer.objects.all()) == [by_email]


# --- Who may ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("role", "export", "erase"), [("owner", 200, 302), ("manager", 200, 403), ("viewer", 403, 403)])
def test_each_role_may_what_is_theirs(shop, customer, role, export, erase):
    client = login("somebody", shop, role)
    page = text_of(client.get(reverse("admin:loyalty_customer_change", args=[customer.pk])))
    assert (address(customer, "export") in page, address(customer, "erase") in page) == (export == 200, erase == 302)
    assert client.post(address(customer, "export")).status_code == export
    assert client.get(address(customer, "erase")).status_code == (200 if erase == 302 else 403)
    assert client.post(address(customer, "erase"), {"word": "c1"}).status_code == erase
    assert Customer.objects.exists() == (erase != 302)


def test_another_merchants_customer_is_not_there(stranger, customer):
    for verb in ("export", "erase"):
        assert stranger.post(address(customer, verb), {"word": "c1"}).status_code == 404
    assert stranger.get(address(customer, "erase")).status_code == 404
    assert Customer.objects.exists()


def test_another_merchants_report_is_not_there(owner, stranger, customer):
    owner.post(address(customer, "erase"), {"word": "c1"})
    report = ErasureReport.objects.get()
    assert stranger.get(reverse("admin:loyalty_erasurereport_change", args=[report.pk])).status_code == 404
    assert stranger.get(reverse("admin:loyalty_erasure_progress", args=[report.pk])).status_code == 404


def test_nothing_happens_on_a_get_or_without_a_login(owner, customer, django_user_model):
    assert owner.get(address(customer, "export")).status_code == 405
    for verb in ("export", "erase"):
        assert Client().post(address(customer, verb), {"word": "c1"}).status_code == 302
    assert Customer.objects.exists() and not LogEntry.objects.exists()


def test_an_owner_who_is_none_any_more_stops_an_erasure_that_runs(shop, customer, django_user_model):
    from nectorbridge.loyalty.personal import erasing

    user = django_user_model.objects.create_user("former", is_staff=True)
    report = erasing.start(customer, user)
    erasing.work(report.pk)
    report.refresh_from_db()
    assert (report.state, report.alias, report.refs) == ("stopped", None, []) and Customer.objects.exists()
