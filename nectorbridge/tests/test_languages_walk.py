"""Every page in Hindi: no text, label or placeholder is left in English, but for names, codes and what providers call things."""

from __future__ import annotations

import re
from zoneinfo import available_timezones

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from events.models import DeliveryAttempt, EventDelivery
from events.states import Reason, State
from events.triggers import choices, find
from integrations.models import Integration, Status
from integrations.providers import all_providers
from nectorbridge.testing import make
from nectorbridge.testing.prose import english
from nectorbridge.tests import test_browser_csp
from nectorbridge.tests.test_browser_csp import all_pages

world = test_browser_csp.world
HINDI = {"accept-language": "hi"}
# What stays in Latin letters, each line with its reason.
STAYS = (
    r"[a-z]+(?:_[a-z]+)+",  # names of triggers and properties
    r"Nectorbridge|Nector|Shopify|WooCommerce|Magento|MoEngage|CleverTap|Wigzo|Mailmodo|Contlo|English",  # names of products
    r"App ID",  # the beginning of a field's name at a provider
    r"asha@example\.com|Asha Rao|[Aa]cme|[Ww]allet[ _][Cc]oins[ _][Rr]ewarded|TEN|USD|coins|[Cc]lerk|[Rr]oot|[Rr]ow\w*",  # typed
    r"\b(?:Owner|Manager|Viewer)\b",  # names of groups in the database, which only administrators see
    r".*\| Can (?:add|change|delete|view) .+|Group-permission .+",  # Django's permissions: in the database as well
    r"\b(?:POST|GET|cut|HTTP|HMAC|ID|en|hi|UTC|CSV|JSON|API|URL|ms)\b",  # units, codes
    r"https?://\S+|[\w.-]+\.(?:com|example|gif)\b",  # addresses
    r"Content-Type|Accept|X-[\w-]+|mmApiKey|application/json|TEST-[\d-]+|WalletRewardCreate",  # of a provider's request
    r"Order #1042|••••\w*|\*BadSignature|OrmQ object|[0-9a-f]{8}-[0-9a-f-]{27}",  # samples, masks, keys
    r"\b(?:email|mobile|reason|name|country|expiry|balance|operation|title|cr|dr)\b",  # columns, properties
)


@pytest.fixture(scope="module")
def stays() -> re.Pattern[str]:
    """What may stay in Latin letters: names of zones, of Nector's triggers and of providers' own fields besides."""
    names = [
        *available_timezones(),
        "localtime",
        *(find(key).title("Coins") for _group, rows in choices() for key, _title in rows),
    ]
    with translation.override("hi"):
        names += [str(field.label) for provider in all_providers() for field in provider.fields]
    known = "|".join(re.escape(name) for name in sorted(set(names), key=len, reverse=True))
    return re.compile("|".join((known, *STAYS)))


@pytest.fixture
def administrator(world) -> Client:
    client = Client(headers=HINDI, raise_request_exception=False)
    client.force_login(get_user_model().objects.get(username="root"))
    return client


def found_on(client: Client, paths: list[str], stays: re.Pattern[str]) -> dict[str, str]:
    """Return each English text with the first page it stands on."""
    found: dict[str, str] = {}
    for path in paths:
        answer = client.get(path)
        assert answer.status_code < 500, path
        if answer.headers.get("content-type", "").startswith("text/html"):
            for text in english(answer.content.decode(), stays):
                found.setdefault(text, path)
    return found


@pytest.mark.django_db(transaction=True)
def test_no_page_of_the_admin_has_english_left(administrator, stays):
    paths = all_pages()
    assert len(paths) > 200
    assert found_on(administrator, paths, stays) == {}


@pytest.mark.django_db(transaction=True)
def test_neither_has_any_whatever_became_of_integrations_and_deliveries(administrator, world, stays):
    delivery = EventDelivery.objects.filter(integration__provider="clevertap").first()
    paths = []
    for state in State:
        for reason in Reason if state in (State.SKIPPED, State.FAILED) else [""]:
            row = EventDelivery.objects.get(pk=delivery.pk)
            row.pk, row.idempotency_key, row.status, row.reason = make.uuid.uuid4(), f"{state}{reason}", state, reason
            row.save(force_insert=True)
            paths.append(reverse("admin:events_eventdelivery_change", args=[row.pk]))
    for number, outcome in enumerate(("transient", "uncertain", "permanent", "configuration", "internal"), 1):
        words = {"error_code": "cut", "error_message": "The connection was cut before the whole answer had come."}
        values = {"started_at": timezone.now(), "duration_ms": 7, "outcome": outcome, **words}
        DeliveryAttempt.objects.create(delivery=row, number=number, **values)
    for status, integration in zip(Status, Integration.objects.all(), strict=False):
        words = {"status_reason": "The stored credentials cannot be read (secret_unreadable).", "status_fix": "Enter them again."}
        Integration.objects.filter(pk=integration.pk).update(status=status, **words)
        paths.append(reverse("admin:integrations_integration_change", args=[integration.pk]))
    paths += [reverse("admin:index"), reverse("admin:events_eventdelivery_changelist"), reverse("queue_health")]
    paths.append(reverse("admin:integrations_integration_changelist"))
    assert found_on(administrator, paths, stays) == {}


@pytest.mark.django_db(transaction=True)
def test_neither_have_lists_with_nothing_in_them(db, stays):
    client = Client(headers=HINDI)
    client.force_login(get_user_model().objects.create_superuser("root"))
    paths = [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry]
    assert found_on(client, [reverse("admin:index"), *paths], stays) == {}


@pytest.mark.django_db(transaction=True)
def test_neither_have_forms_that_are_sent_back(administrator, world, stays):
    found = []
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        if administrator.get(path).status_code == 200:
            answer = administrator.post(path, {})
            found += english(answer.content.decode(), stays) if answer.status_code == 200 else []
    assert found == []


@pytest.mark.django_db
def test_neither_have_pages_before_logging_in_or_for_strangers(stays):
    client = Client(headers=HINDI)
    join = reverse("admin:integrations_invitation_join", args=["nothing"])
    wrong = client.post(reverse("admin:login"), {"username": "nobody", "password": "wrong"})
    pages = [wrong, *(client.get(path) for path in (reverse("admin:login"), "/nowhere/", join))]
    client.force_login(get_user_model().objects.create_superuser("root"))
    pages.append(client.post(reverse("admin:logout")))
    assert [english(page.content.decode(), stays) for page in pages] == [[]] * len(pages)
    assert "फिर" in wrong.content.decode() or "सही" in wrong.content.decode()


def test_the_walk_would_notice(stays):
    page = """<html lang="hi"><p>नमस्ते</p><p>Good morning</p><code>a code</code><img alt="A picture"><input type=submit value=Send>
        <p>यह the name of it है</p><script>let words = "No";</script><p lang="en">English</p></html>"""
    assert english(page, stays) == ["Good morning", "A picture", "Send", "यह the name of it है"]
