"""A demo merchant with customers, wallets, coupons and an initialised integration, and activity that trickles in.

Everything goes through the ledger's services, as in a real store, so a newcomer sees the real thing.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db import OperationalError, close_old_connections, transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from events.models import Engagement, EventDefinition, EventDelivery
from events.states import EngagementKind, Portal, State
from integrations.models import Integration, Membership, Merchant, Platform, Role
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Coupon, CouponStatus, Customer, ValueClass

logger = logging.getLogger(__name__)
SLUG = "asha-organics"
STAFF = "meera"
BOUGHT = 0.3  # of those who clicked
SECONDS_BETWEEN = (1.0, 4.0)
SECONDS_UNTIL_SANDBOX = 0.5  # it starts at the same time as the demo
NAMES = (
    "Asha Rao, Vikram Shah, Leila Haddad, Tomas Novak, Priya Nair, Daniel Okafor, Sofia Rossi, Rahul Mehta, Emma Larsen,"
    "Kabir Singh, Ananya Iyer, Mateo Garcia, Zara Khan, Noah Weber, Ishaan Gupta, Chloe Martin, Arjun Reddy, Maya Cohen,"
    "Lucas Silva, Diya Patel, Omar Farouk, Nina Petrova, Rohan Das, Grace Kim, Aditya Joshi, Hana Sato, Sana Ali, Leo Wong"
)
TIERS = ("", "Bronze", "Silver", "Gold")
REASONS = ("Order placed", "Review written", "Birthday gift", "Welcome", "Friend referred")
DEFINITIONS = (("walletreward_create", "Wallet Coins Rewarded"), ("coupon_create", "Coupon Is Created"))

# Common property, settings and the secret's name. Wigzo and Contlo are left for the newcomer to connect.
CONNECTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "clevertap": ("customer_id", {"account_id": "TEST-4K7-9Z2", "server_prefix": "in1"}, "private_api_key"),
    "moengage": ("customer_id", {"workspace_id": "DEMO7K29Z2QX", "server_prefix": "03"}, "data_api_key"),
    "mailmodo": ("email", {"list_name": "Rewards Members", "requests_per_second": "5"}, "api_key"),
}


def seed() -> tuple[Merchant, str]:
    """Return the demo merchant and, if it was made just now, the password of its member of staff.

    A second call finds everything again and returns no password.
    """
    merchant = Merchant.objects.filter(slug=SLUG).first()
    if merchant is not None:
        return merchant, ""
    password = get_random_string(14)
    with transaction.atomic():
        merchant = _merchant(password)
        _customers(merchant)
    return merchant, password


def initialize(merchant: Merchant) -> bool:
    """Initialize the demo's integrations that never were. Returns whether all of them are connected."""
    drafts = merchant.integrations.filter(initialized_at__isnull=True)
    results = [integration.initialize() for integration in drafts]
    return all(result.ok for result in results)


def _merchant(password: str) -> Merchant:
    """Make the merchant, its member of staff, and three integrations with two events each."""
    merchant = Merchant.objects.create(
        name="Asha Organics",
        slug=SLUG,
        website="https://asha-organics.example",
        platform=Platform.SHOPIFY,
        timezone="Asia/Kolkata",
        currency="INR",
    )
    users = get_user_model().objects
    user = users.filter(username=STAFF).first() or users.create_user(
        STAFF, "meera@asha-organics.example", password, is_staff=True
    )
    Membership.objects.create(merchant=merchant, user=user, role=Role.OWNER)
    for provider, (common_property, settings, secret) in CONNECTED.items():
        integration = Integration(merchant=merchant, provider=provider, common_property=common_property, settings=settings)
        integration.secrets = {secret: f"DEMO-{get_random_string(12).upper()}"}
        integration.save()
        for trigger, name in DEFINITIONS:
            EventDefinition.objects.create(integration=integration, trigger=trigger, name=name)
    return merchant


def _customers(merchant: Merchant) -> None:
    """Make customers with wallets, and coupons for some. The integration is not enabled yet, so this starts no journey."""
    for number, name in enumerate(part.strip() for part in NAMES.split(",")):
        local = name.lower().replace(" ", ".")
        customer = Customer.objects.create(
            merchant=merchant,
            customer_id=f"shopify-{7_078_192_0000 + number}",
            name=name,
            email=f"{local}@example.com",
            phone=f"+9198765{43_210 + number:05d}",
            tier=TIERS[number % len(TIERS)],
            referral_code=f"{name.split()[0].upper()}{100 + number}",
        )
        services.credit(
            customer, 50 + 10 * number, "Welcome", timezone.now() + timedelta(days=30 + 10 * number), Portal.ONLINE_STORE
        )
        if number % 3 == 0:
            _coupon(customer)


def trickle(merchant: Merchant) -> None:
    """Let something happen every few seconds, until the process is stopped. A database that is away is waited for."""
    connected = False
    while True:
        try:
            connected = connected or initialize(merchant)
            happen(merchant)
        except OperationalError:
            logger.warning("The database does not answer; the demo waits.")
            close_old_connections()
        time.sleep(random.uniform(*SECONDS_BETWEEN) if connected else SECONDS_UNTIL_SANDBOX)  # noqa: S311


def happen(merchant: Merchant) -> None:
    """Let one thing happen: mostly coins earned, sometimes coins spent, a coupon, an order, an open or a click."""
    customer = merchant.customers.order_by("?").first()
    if customer is None:
        return
    portal = random.choice((Portal.ONLINE_STORE, Portal.ONLINE_STORE, Portal.POS, Portal.APP))  # noqa: S311
    dice = random.random()  # noqa: S311
    if dice < 0.55:
        expires_at = timezone.now() + timedelta(days=random.choice((30, 90, 180)))  # noqa: S311
        services.credit(customer, random.randrange(10, 200, 5), random.choice(REASONS), expires_at, portal)  # noqa: S311
    elif dice < 0.7:
        _coupon(customer, portal)
    elif dice < 0.8:
        _spend(customer, portal)
    elif dice < 0.87:
        buy(customer, portal)
    else:
        _engage(merchant)


def _coupon(customer: Customer, portal: str = Portal.ONLINE_STORE) -> Coupon:
    """Issue a coupon, and let an older one be used now and then."""
    percent = random.random() < 0.6  # noqa: S311
    older = customer.coupons.filter(status=CouponStatus.ISSUED).first()
    if older is not None and percent:
        services.redeem_coupon(older, portal)
    return services.create_coupon(
        customer,
        code=f"THANKS-{uuid.uuid4().hex[:6].upper()}",
        value_class=ValueClass.PERCENT if percent else ValueClass.AMOUNT,
        value=Decimal(10 if percent else 250),
        minimum_cart_amount=Decimal(999),
        expires_at=timezone.now() + timedelta(days=21),
        portal=portal,
    )


def buy(customer: Customer, portal: str = Portal.ONLINE_STORE) -> None:
    """Place an order, with a coupon if there is one."""
    coupon = customer.coupons.filter(status=CouponStatus.ISSUED).first()
    total = Decimal(random.randrange(1000, 5000, 10))  # noqa: S311
    discount = Decimal(0)
    if coupon is not None:
        discount = total * coupon.value / 100 if coupon.value_class == ValueClass.PERCENT else coupon.value
        services.redeem_coupon(coupon, portal)
    services.place_order(
        customer,
        order_id=f"demo-{uuid.uuid4().hex[:12]}",
        total=total - discount,
        discount_total=discount,
        currency=customer.merchant.currency,
        coupon_code=coupon.code if coupon is not None else "",
        source="demo",
        portal=portal,
    )


def _spend(customer: Customer, portal: str) -> None:
    """Spend some coins, if there are enough."""
    try:
        services.debit(customer, random.randrange(20, 120, 10), "Redeemed at checkout", portal)  # noqa: S311
    except services.InsufficientBalance:
        services.credit(customer, 100, "Sorry, have some more", None, portal)


def _engage(merchant: Merchant) -> None:
    """Let a customer open a message that was sent, perhaps click, and now and then buy something then."""
    sent = EventDelivery.objects.filter(merchant=merchant, status=State.SENT).first()
    if sent is not None:
        Engagement.objects.create(delivery=sent, kind=EngagementKind.OPEN, source="demo")
        if random.random() < 0.4:  # noqa: S311
            Engagement.objects.create(delivery=sent, kind=EngagementKind.CLICK, source="demo")
            come_back(sent)


def come_back(sent: EventDelivery) -> None:
    """Let somebody who clicked buy something, now and then."""
    customer = Customer.objects.filter(merchant=sent.merchant_id, customer_id=sent.recipient.get("customer_id", "")).first()
    if customer is not None and random.random() < BOUGHT:  # noqa: S311
        buy(customer)
