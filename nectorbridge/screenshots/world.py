"""The installation that is photographed: the demo's merchant, all providers connected, and a week of activity."""

from __future__ import annotations

import os
import random
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from events.drain import drain
from events.models import Engagement, EventDefinition, EventDelivery
from events.states import EngagementKind, State
from events.syncing import start_sync
from integrations.models import Integration, Membership, Merchant, Role
from nectorbridge import demo
from nectorbridge.loyalty.models import Customer

ACCOUNTS = {  # that the sandbox lets in: id to secret
    "TEST-4K7-9Z2": "SHOWN-CLEVERTAP-7Q4Z",
    "DEMO7K29Z2QX": "SHOWN-MOENGAGE-7Q4Z",
    "mailmodo": "SHOWN-MAILMODO-7Q4Z",
    "SHOWNorgtoken7Q4Zabcd": "SHOWNapitoken7Q4Zefgh",
    "contlo": "SHOWN-CONTLO-7Q4Z",
}
SECRETS = {
    "clevertap": {"private_api_key": ACCOUNTS["TEST-4K7-9Z2"]},
    "moengage": {"data_api_key": ACCOUNTS["DEMO7K29Z2QX"]},
    "mailmodo": {"api_key": ACCOUNTS["mailmodo"]},
}
DAYS, A_DAY = 7, 30
OPENED, CLICKED = 0.4, 0.35  # of what was sent, and of what was opened
COLLEAGUES = (("ravi", Role.MANAGER), ("lena", Role.VIEWER))


def prepare() -> dict[str, str]:
    """Make everything; return the address of each picture. Staff's password is ADMIN_PASSWORD."""
    import time_machine

    random.seed(7)
    merchant, _password = demo.seed()
    people = get_user_model().objects
    owner = people.get(username=demo.STAFF)
    owner.set_password(os.environ["ADMIN_PASSWORD"])
    owner.save()
    for name, role in COLLEAGUES:
        user = people.create_user(name, f"{name}@asha-organics.example", is_staff=True)
        Membership.objects.create(merchant=merchant, user=user, role=role)
    integrations = _connect(merchant)
    for days in reversed(range(DAYS)):
        with time_machine.travel(timezone.now() - timedelta(days=days, minutes=20)):
            for _number in range(A_DAY + random.randrange(10)):  # noqa: S311
                demo.happen(merchant)
            for integration in integrations.values():
                drain(integration.pk)
            _engage(merchant)
    start_sync(integrations["mailmodo"])
    return addresses(integrations, _refused())


def _engage(merchant: Merchant) -> None:
    """Let customers open and click what was sent this day, and some of them buy."""
    since = timezone.now() - timedelta(hours=2)
    for row in EventDelivery.objects.filter(merchant=merchant, status=State.SENT, created_at__gte=since):
        if random.random() < OPENED:  # noqa: S311
            Engagement.objects.create(delivery=row, kind=EngagementKind.OPEN, source="demo")
            if random.random() < CLICKED:  # noqa: S311
                Engagement.objects.create(delivery=row, kind=EngagementKind.CLICK, source="demo")
                demo.come_back(row)


def _connect(merchant: Merchant) -> dict[str, Integration]:
    """Connect what the demo has, and the providers that it leaves to newcomers."""
    for row in merchant.integrations.all():
        row.secrets = SECRETS[row.provider]
        row.settings.pop("requests_per_second", None)  # a week is sent within seconds
        row.save()
    org, contlo = "SHOWNorgtoken7Q4Zabcd", ACCOUNTS["contlo"]
    for provider, settings, secrets in (
        ("wigzo", {}, {"org_token": org, "api_token": ACCOUNTS[org]}),
        ("contlo", {"app_installed": True}, {"private_api_key": contlo}),
    ):
        row = Integration(merchant=merchant, provider=provider, common_property="email", settings=settings)
        row.secrets = secrets
        row.save()
        for trigger, name in demo.DEFINITIONS:
            EventDefinition.objects.create(integration=row, trigger=trigger, name=name)
    rows = list(merchant.integrations.all())
    for row in rows:
        result = row.initialize()
        if not result.ok:
            raise RuntimeError(f"{row.provider}: {result}")
    return {row.provider: row for row in rows}


def _refused() -> Integration:
    """Return an integration of another merchant, whose key its provider refuses."""
    other = Merchant.objects.create(name="Bela Crafts", slug="bela-crafts", website="https://bela-crafts.example")
    row = Integration(merchant=other, provider="moengage", common_property="customer_id")
    row.settings = {"workspace_id": "DEMO7K29Z2QX", "server_prefix": "03"}
    row.secrets = {"data_api_key": "SHOWN-WRONG-KEY"}
    row.save()
    row.initialize()
    return row


def addresses(integrations: dict[str, Integration], refused: Integration) -> dict[str, str]:
    """Return where each picture is taken."""

    def at(name: str, *arguments: object, query: str = "") -> str:
        return reverse(f"admin:{name}", args=arguments) + (f"?{query}" if query else "")

    events = {slug: row.definitions.order_by("pk").first() for slug, row in integrations.items()}
    customer = Customer.objects.order_by("pk").first()
    shown = EventDelivery.objects.filter(integration=integrations["clevertap"], status=State.SENT)
    clicked = shown.filter(engagements__kind="click").order_by("-id").first() or shown.order_by("-id").first()
    key = {slug: row.pk for slug, row in events.items() if row is not None}
    found = {f"{slug}-set-up": at("integrations_integration_change", row.pk) for slug, row in integrations.items()}
    chosen = f"customer={customer.pk if customer else ''}"
    return found | {
        "dashboard": at("index"),
        "catalogue": at("integrations_integration_changelist"),
        "moengage-refused": at("integrations_integration_change", refused.pk),
        "moengage-journey": at("events_eventdefinition_journey", key["moengage"]),
        "contlo-launch": at("events_launch", integrations["contlo"].pk),
        "mailmodo-sync": at("events_contactsync_changelist", query=f"integration__id__exact={integrations['mailmodo'].pk}"),
        "event": at("events_eventdefinition_change", key["clevertap"]),
        "test-event": at("events_eventdefinition_test", key["clevertap"], query=chosen),
        "wigzo-test-event": at("events_eventdefinition_test", key["wigzo"], query=chosen),
        "journey": at("events_eventdefinition_journey", key["clevertap"]),
        "deliveries": at("events_eventdelivery_changelist"),
        "delivery": at("events_eventdelivery_change", clicked.pk) if clicked else at("index"),
        "statistics": at("events_statistics", integrations["clevertap"].pk),
        "worth": at("events_eventdefinition_worth", key["clevertap"], query="window=1"),
        "coming-back": at("events_coming_back", integrations["clevertap"].pk),
        "staff": at("integrations_membership_changelist"),
        "audit-trail": at("integrations_auditentry_changelist"),
        "queue-health": reverse("queue_health"),
    }
