"""From what a provider sends back to the customer's consent in the ledger."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.utils import timezone

from events import callbacks
from events.tests.conftest import deliver
from nectorbridge.loyalty.models import ConsentChange, Customer
from nectorbridge.testing import make


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("MOE_EMAIL_UNSUBSCRIBE", ["unsubscribed", "unknown", "unknown"]),
        ("MOE_SMS_UNSUBSCRIBED", ["unknown", "unsubscribed", "unknown"]),
        ("MOE_EMAIL_SPAM", ["unsubscribed"] * 3),
        ("MOE_EMAIL_OPEN", ["unknown"] * 3),
    ],
)
def test_a_no_becomes_consent_on_the_channel_that_is_told(code, said):
    merchant = make.merchant()
    integration = make.integration(merchant, provider="moengage", settings={}, secrets={})
    customer = Customer.objects.create(merchant=merchant, customer_id="C-1", email="asha@example.com")
    sent = deliver(
        make.definition(integration),
        status="sent",
        sent_at=timezone.now(),
        customer_ref=customer.ref,
        recipient=customer.recipient,
    )
    event = {"event_code": code, "event_uuid": "u-1", "uid": "C-1", "event_time": int(timezone.now().timestamp())}
    for number in range(2):  # told again in another batch
        body = json.dumps({"events": [event], "moe_request_id": number}).encode()
        path = f"/callbacks/moengage/{integration.callback_token}/"
        assert Client().post(path, body, content_type="application/json").status_code == 200
    callbacks.work(integration.pk)
    customer.refresh_from_db()
    assert [customer.consent_email, customer.consent_sms, customer.consent_whatsapp] == said
    changes = ConsentChange.objects.filter(customer=customer)
    assert changes.count() == said.count("unsubscribed") and all(row.source == "moengage" for row in changes)
    assert sent.engagements.count() == 1
