"""The demo's merchant lives like a store: customers earn, spend, use coupons and buy, some of them after a click."""

from __future__ import annotations

import random

import pytest
from django.utils import timezone

from events.models import Engagement, EventDefinition, EventDelivery
from events.states import State
from nectorbridge import demo
from nectorbridge.loyalty.models import Coupon, CouponStatus, Customer, Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant():
    return demo.seed()[0]


def test_a_day_of_the_demo_has_orders_and_nothing_that_the_services_refuse(merchant):
    random.seed(7)
    for _number in range(60):
        demo.happen(merchant)
    assert {order.currency for order in Order.objects.filter(customer__merchant=merchant)} == {"INR"}


def test_an_order_uses_a_coupon_where_there_is_one(merchant):
    customer = Coupon.objects.filter(status=CouponStatus.ISSUED).first().customer
    demo.buy(customer)
    order = Order.objects.get()
    assert customer.coupons.get(code=order.coupon_code).status == CouponStatus.REDEEMED
    assert order.discount_total > 0 and order.total > 0


def test_somebody_who_clicks_buys_now_and_then(merchant, monkeypatch):
    definition, customer = EventDefinition.objects.first(), Customer.objects.first()
    sent = EventDelivery.objects.create(
        definition=definition,
        integration=definition.integration,
        merchant=merchant,
        recipient=customer.recipient,
        status=State.SENT,
        occurred_at=timezone.now(),
        idempotency_key="k",
    )
    monkeypatch.setattr(demo, "BOUGHT", 0.0)
    demo.come_back(sent)
    assert not Order.objects.exists()
    monkeypatch.setattr(demo, "BOUGHT", 1.0)
    demo.come_back(sent)
    assert [order.customer for order in Order.objects.all()] == [customer]
    assert not Engagement.objects.exists(), "who clicked is noted by whoever saw it"
