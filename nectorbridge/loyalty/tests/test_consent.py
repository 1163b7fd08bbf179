"""What customers said about being written to: dated, with its source, and respected by what waits."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from events import suppression
from events.models import EventDelivery, Suppression
from nectorbridge.loyalty import services
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.models import ConsentChange, Customer
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(shop):
    return make.definition(make.integration(shop))


def last():
    return EventDelivery.objects.latest("id")


def changes(customer):
    found = customer.consent_changes.order_by("id")
    return [(row.channel, row.former, row.consent, row.source, row.is_applied) for row in found]


def test_consent_is_written_down_with_its_date_and_source(customer):
    moment = timezone.now() - timedelta(days=3)
    change = services.set_consent(customer, "email", "subscribed", source="sign-up form", occurred_at=moment)
    assert (change.channel, change.consent, change.former, change.source, change.occurred_at, change.is_applied) == (
        "email",
        "subscribed",
        "unknown",
        "sign-up form",
        moment,
        True,
    )
    assert customer.consent_email == Customer.objects.get().consent_email == "subscribed"


def test_an_older_answer_that_comes_late_is_kept_and_changes_nothing(customer):
    now = timezone.now()
    services.set_consent(customer, "sms", "unsubscribed", occurred_at=now)
    late = services.set_consent(customer, "sms", "subscribed", occurred_at=now - timedelta(hours=1))
    assert not late.is_applied and Customer.objects.get().consent_sms == "unsubscribed"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"channel": "fax"}, "channel must be one of"),
        ({"consent": "perhaps"}, "consent must be one of"),
        ({"source": "x" * 61}, "source must have at most"),
        ({"portal": "moon"}, "portal must be"),
        ({"occurred_at": timezone.now().replace(tzinfo=None)}, "aware"),
    ],
)
def test_what_makes_no_sense_is_refused(customer, values, error):
    with pytest.raises(ValueError, match=error):
        services.set_consent(customer, **{"channel": "email", "consent": "subscribed", **values})
    assert not ConsentChange.objects.exists()


def test_saved_by_hand_it_is_dated_too_once(customer):
    customer.consent_email = "unsubscribed"
    customer.save()
    customer.save()
    assert changes(customer) == [("email", "unknown", "unsubscribed", "edited", True)]
    joined = Customer.objects.create(merchant=customer.merchant, customer_id="c2", consent_whatsapp="subscribed")
    assert changes(joined) == [("whatsapp", "unknown", "subscribed", "joined", True)]


def test_through_a_service_it_is_not_written_down_a_second_time(customer):
    services.set_consent(customer, "email", "subscribed")
    customer.name = "Asha R."
    customer.save()
    assert len(changes(customer)) == 1


def test_who_said_no_gets_nothing_and_after_a_yes_everything_again(customer, event):
    services.set_consent(customer, "email", "unsubscribed")
    services.credit(customer, 50)
    assert (last().status, last().reason) == ("skipped", "no_consent")
    services.set_consent(customer, "email", "subscribed")
    services.credit(customer, 50)
    assert last().status == "queued"


@pytest.mark.parametrize("how", ["service", "hand"])
def test_a_no_stops_what_waits(customer, event, how):
    services.credit(customer, 50)
    if how == "service":
        services.set_consent(customer, "email", "unsubscribed")
    else:
        customer.consent_email = "unsubscribed"
        customer.save()
    assert (last().status, last().reason) == ("skipped", "no_consent")


def test_a_no_on_one_channel_leaves_what_goes_out_on_another(customer, event):
    services.set_consent(customer, "whatsapp", "subscribed")
    services.credit(customer, 50)
    services.set_consent(customer, "email", "unsubscribed")
    assert last().status == "queued", "the journey may choose WhatsApp"


def test_what_comes_back_from_a_provider_is_kept_with_its_source(customer, event):
    services.credit(customer, 50)
    sent, now = last(), timezone.now()
    services.credit(customer, 60)
    suppression.came_back(sent, "unsubscribe", "clevertap", now)
    customer.refresh_from_db()
    assert set(customer.consent.values()) == {"unsubscribed"}, "CleverTap's journeys write on any channel"
    assert {source for *_rest, source, _counts in changes(customer)} == {"clevertap"} and not Suppression.objects.exists()
    assert (last().status, last().reason) == ("skipped", "no_consent")


def test_a_complaint_suppresses_until_they_agree_again(customer, event):
    services.credit(customer, 50)
    suppression.came_back(last(), "complaint", "clevertap", timezone.now() - timedelta(minutes=1))
    services.credit(customer, 60)
    assert (last().status, last().reason) == ("skipped", "suppressed")
    services.set_consent(customer, "email", "subscribed", source="asked for it")
    services.credit(customer, 70)
    assert last().status == "queued" and not Suppression.objects.exists()


def test_who_was_merged_says_no_under_both_names(customer, event, shop):
    other = Customer.objects.create(merchant=shop, customer_id="c2", email="asha@work.example")
    services.credit(other, 50)
    theirs = last()
    kept = services.merge_customers(customer, other)
    services.set_consent(kept, "email", "unsubscribed")
    theirs.refresh_from_db()
    assert (theirs.status, theirs.reason) == ("skipped", "no_consent")
    suppression.came_back(theirs, "unsubscribe", "mailmodo", timezone.now())
    assert Customer.objects.get().consent_sms == "unsubscribed"


def test_the_host_tells_who_unsubscribed_lately(customer):
    before = timezone.now()
    services.set_consent(customer, "email", "unsubscribed")
    assert LoyaltyHost().unsubscribed_since(before) == {customer.merchant_id: {customer.ref}}
    assert LoyaltyHost().unsubscribed_since(timezone.now()) == {}


def test_a_friend_who_is_no_customer_has_said_nothing(customer, shop):
    make.definition(make.integration(shop, common_property="email"), trigger="refereenotify_create")
    services.start_referral(customer, friend_email="ravi@example.com")
    assert last().status == "queued" and last().customer_ref.startswith("friend:")


def test_a_customer_who_was_loaded_long_ago_is_asked_about_anew_once(customer, event, django_assert_num_queries):
    services.set_consent(Customer.objects.get(), "email", "unsubscribed")  # elsewhere, of which this copy knows nothing
    customer.consent_sms = "subscribed"  # not saved yet
    customer._known_at = time.monotonic() - 6
    with django_assert_num_queries(1):
        said = customer.consent_now(), customer.consent_now()
    assert said == ({"email": "unsubscribed", "sms": "subscribed", "whatsapp": "unknown"},) * 2
    customer.consent_sms = "unknown"
    services.credit(customer, 50)
    assert (last().status, last().reason) == ("skipped", "no_consent")
