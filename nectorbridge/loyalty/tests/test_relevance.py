"""What the ledger says right before an announcement leaves: is it still worth it?"""

from __future__ import annotations

from datetime import timedelta

import pytest
import responses
from django.utils import timezone

from events.drain import drain
from events.models import EventDelivery
from nectorbridge.loyalty import services
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.models import Coupon, CouponStatus, Customer
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return Customer.objects.create(merchant=make.merchant(), customer_id="c1", email="asha@example.com")


@pytest.fixture
def coupon(customer):
    return services.create_coupon(customer, "THANKS10", "percent", 10, expires_at=timezone.now() + timedelta(days=1))


def ask(trigger: str, *subjects: object):
    keys = [f"{trigger}:{subject}" for subject in subjects]
    answer = LoyaltyHost().still_relevant(trigger, keys)
    return [answer.get(key) for key in keys]


@pytest.mark.parametrize("trigger", ["coupon_create", "coupon_expiring", "unusedcouponrequest_create"])
def test_an_invitation_to_use_a_coupon_is_overtaken_once_it_is_over(coupon, trigger):
    assert ask(trigger, coupon.pk) == [None]
    for status, word in (("redeemed", "used"), ("cancelled", "cancelled"), ("expired", "expired")):
        Coupon.objects.update(status=status)
        assert word in ask(trigger, coupon.pk)[0]
    Coupon.objects.update(status="issued", expires_at=timezone.now())
    assert "expired" in ask(trigger, coupon.pk)[0]


def test_many_coupons_are_one_statement(customer, django_assert_num_queries):
    coupons = [services.create_coupon(customer, f"C{n}", "amount", 5) for n in range(20)]
    services.redeem_coupon(coupons[3])
    with django_assert_num_queries(1):
        answers = ask("coupon_create", *(row.pk for row in coupons))
    assert [index for index, answer in enumerate(answers) if answer] == [3]


@pytest.mark.parametrize("subject", ["", "x", "-1", "99", str(2**70), "5:extra", "٣"])
def test_a_key_that_names_no_coupon_is_relevant(coupon, subject):
    assert ask("coupon_create", subject) == [None]


def test_news_of_a_change_is_overtaken_by_a_later_end_but_the_end_itself_is_news(customer):
    definition = make.definition(make.integration(customer.merchant), trigger="coupon_update", name="Coupon Changed")
    coupon = services.create_coupon(customer, "A", "percent", 10)
    coupon.value = 20
    coupon.save()
    services.redeem_coupon(coupon)
    first, last = EventDelivery.objects.filter(definition=definition).order_by("id")
    keys = [row.idempotency_key.partition(":")[2] for row in (first, last)]
    answer = LoyaltyHost().still_relevant("coupon_update", keys)
    assert answer == {keys[0]: "The coupon was used meanwhile.", keys[1]: None}


def test_a_change_of_a_coupon_that_lives_is_relevant_until_it_expires(customer):
    definition = make.definition(make.integration(customer.merchant), trigger="coupon_update", name="Coupon Changed")
    coupon = services.create_coupon(customer, "A", "percent", 10)
    for value in (20, 30):
        coupon.value = value
        coupon.save()
    keys = [row.idempotency_key.partition(":")[2] for row in EventDelivery.objects.filter(definition=definition)]
    assert set(LoyaltyHost().still_relevant("coupon_update", keys).values()) == {None}
    Coupon.objects.update(expires_at=timezone.now())
    assert {bool(reason) for reason in LoyaltyHost().still_relevant("coupon_update", keys).values()} == {True}


def test_a_warning_about_coins_is_overtaken_once_they_are_spent_or_gone(customer):
    soon = timezone.now() + timedelta(days=7)
    lot = services.credit(customer, 100, expires_at=soon)
    other = services.credit(customer, 50, expires_at=soon + timedelta(days=1))
    assert ask("coinexpirynotify_create", lot.pk, other.pk, f"{lot.pk}:7") == [None, None, None]
    services.debit(customer, 100)
    assert ask("coinexpirynotify_create", lot.pk, other.pk) == ["The coins were spent meanwhile.", None]
    type(other).objects.filter(pk=other.pk).update(expires_at=timezone.now())
    assert "expired" in ask("coinexpirynotify_create", other.pk)[0]


def test_other_triggers_are_always_relevant(customer):
    assert LoyaltyHost().still_relevant("walletreward_create", ["walletreward_create:1"]) == {}


def test_a_coupon_that_was_used_before_its_announcement_left_is_not_announced(customer):
    integration = make.integration(customer.merchant)
    for trigger in ("coupon_create", "coupon_redeemed"):
        make.definition(integration, trigger=trigger, name=trigger)
    coupon = services.create_coupon(customer, "A", "percent", 10)
    services.redeem_coupon(coupon)
    assert coupon.status == CouponStatus.ISSUED  # the caller's copy; the row is used
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 1, "unprocessed": []})
        drain(integration.pk)
    rows = {row.trigger: (row.status, row.reason, row.detail) for row in EventDelivery.objects.all()}
    assert rows["coupon_create"] == ("skipped", "stale", "The coupon was used meanwhile.")
    assert rows["coupon_redeemed"][0] == "sent"
