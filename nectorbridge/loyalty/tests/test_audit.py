"""What staff do with customers is in the audit trail: by the customer's key, never by their name."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from integrations.models import Act, AuditEntry
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import ImportRun

QUIET = (Act.LOGIN, Act.STAFF_ADDED)


def noted() -> list[tuple[str, str, list[str], dict[str, object]]]:
    """Return act, subject, fields and details, in order."""
    rows = AuditEntry.objects.exclude(act__in=QUIET).order_by("id")
    return list(rows.values_list("act", "subject", "fields", "details"))


def url(name: str, *args: object) -> str:
    return reverse(f"admin:loyalty_{name}", args=args)


@pytest.fixture(autouse=True)
def no_names(customer):
    yield
    stored = str(list(AuditEntry.objects.values()))
    assert "Asha" not in stored
    assert "asha@example.com" not in stored


def test_a_consent_that_staff_change_and_none_that_customers_do(owner, customer):
    services.set_consent(customer, "email", "unsubscribed", "a form")
    assert noted() == []
    form = {"customer_id": "c1", "name": "Asha Rao", "email": "asha@example.com"}
    consents = {"consent_email": "subscribed", "consent_sms": "unknown", "consent_whatsapp": "unknown"}

    answer = owner.post(url("customer_change", customer.pk), form | consents)

    assert answer.status_code == 302
    assert (Act.CONSENT, f"customer {customer.pk}", ["email"], {"consent": "subscribed"}) in noted()


def test_grants_exports_and_erasure(owner, customer):
    services.credit(customer, 5)
    owner.post(url("customer_grant", customer.pk), {"amount": 50, "title": "Sorry", "portal": "online_store"})
    owner.post(url("customer_export", customer.pk))
    owner.post(url("customer_erase", customer.pk), {"word": "c1"})

    acts = [(act, details) for act, _subject, _fields, details in noted()]
    assert acts[:2] == [(Act.LEDGER, {"what": "grant"}), (Act.EXPORT, {"what": "one customer"})]
    assert acts[2][0] == Act.ERASE
    assert noted()[0][1] == f"customer {customer.pk}"


def test_an_import_from_upload_to_discard(owner, shop):
    file = SimpleUploadedFile("customers.csv", b"email,coins\nasha@example.com,5\n")
    owner.post(url("import_upload"), {"merchant": shop.pk, "file": file})
    owner.post(url("import_discard", ImportRun.objects.get().pk))

    assert [(act, details["result"]) for act, _subject, _fields, details in noted()] == [
        (Act.IMPORT, "uploaded"),
        (Act.IMPORT, "discarded"),
    ]
    assert {row.merchant for row in AuditEntry.objects.filter(act=Act.IMPORT)} == {shop}


def test_nectors_secret_by_its_name_alone(owner, shop):
    owner.post(url("nector_door"), {"verb": "secret", "secret": "CANARY-NECTOR-SECRET"})
    owner.post(url("nector_door"), {"verb": "mode", "mode": "enforce"})

    assert [(act, fields) for act, _subject, fields, _details in noted()] == [
        (Act.SECRET, ["Nector webhook secret"]),
        (Act.CHANGED, ["HMAC of webhooks"]),
    ]
    assert "CANARY" not in str(list(AuditEntry.objects.values()))
