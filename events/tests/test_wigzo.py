"""Wigzo through the outbox: two tokens in every address, and none of them in anything that is kept or shown."""

from __future__ import annotations

import json
import logging
import re

import pytest
import responses
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events import record
from events.admin.requests import preview, repacked
from events.drain import drain
from events.models import Call, Contact, EventDelivery
from integrations.models import Status
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
ANY = re.compile(r"https://tracker\.wigzopush\.com/rest/v1/learn/.*")
SECRETS = {"org_token": "CANARY/org+token", "api_token": "CANARY&api=token%2f"}


@pytest.fixture
def definition():
    values = {"provider": "wigzo", "common_property": "email", "settings": {}, "secrets": SECRETS}
    return make.definition(make.integration(**values))


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def page():
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return lambda row: client.get(reverse("admin:events_eventdelivery_change", args=[row.pk])).content.decode()


def stored(row) -> str:
    calls = "".join(call.request + call.response for call in Call.objects.all())
    tries = "".join(json.dumps(list(row.attempts.values()), default=str))
    row.refresh_from_db()
    row.integration.refresh_from_db()
    return f"{calls}{tries}{row.reason}{row.detail}{row.payload}{row.integration.status_reason}{row.integration.status_fix}"


@pytest.mark.parametrize(("status", "reply"), [(200, "success"), (400, "error"), (401, "error"), (500, "error")])
def test_no_token_is_kept_logged_or_shown_whatever_wigzo_echoes(definition, provider, page, caplog, status, reply):
    def echo(request):
        return status, {}, json.dumps({"status": reply, "message": f"you sent {request.url} with {SECRETS['api_token']}"})

    provider.add_callback(responses.POST, ANY, echo)
    (row,) = record(make.activity(definition.integration.merchant))
    with caplog.at_level(logging.DEBUG):
        drain(definition.integration.pk)

    assert "token=CANARY%26api%3Dtoken%252f&org_token=CANARY%2Forg%2Btoken" in provider.calls[0].request.url
    assert Call.objects.exists() and "you sent" in stored(row)
    seen = stored(row) + caplog.text + page(row)
    assert "CANARY" not in seen
    if status == 401:
        assert definition.integration.__class__.objects.get().status == Status.ATTENTION


def test_the_preview_of_an_event_shows_the_request_without_tokens(definition):
    (shown,) = preview(definition, definition.created_at).requests

    assert shown.url == "https://tracker.wigzopush.com/rest/v1/learn/event?token=••••&org_token=••••"
    body = json.loads(shown.body)
    assert body["eventName"] == "Wallet Coins Rewarded" and body["userId"] == "00000000-0000-4000-8000-000000000000"
    assert body["eventval"]["email"] == "asha@example.com" and "nector_click_url" in body["eventval"]


def test_each_customer_is_identified_once_and_their_events_carry_that_id(definition, settings):
    integration = definition.integration
    with Sandbox.running() as sandbox:
        settings.PROVIDER_BASE_URLS = {"wigzo": sandbox.url_of("wigzo")}
        for person in ("c1", "c2", "c1", "c2", "c1"):
            record(make.activity(integration.merchant, person, recipient={**make.PERSON, "email": f"{person}@x.io"}))
        while drain(integration.pk):
            pass

        assert set(EventDelivery.objects.values_list("status", "attempt_count")) == {("sent", 1)}
        assert sandbox.summary()["wigzo"]["refused"] == 0
        arrived = [(r.kind, r.identity, r.record["userId"]) for r in sandbox.arrived("wigzo")]
    ids = dict(Contact.objects.values_list("customer_ref", "remote_id"))
    expected = [(kind, f"{ref}@x.io", ids[ref]) for ref in ids for kind in ("event", "event", "profile")]
    assert sorted(arrived) == sorted([*expected, ("event", "c1@x.io", ids["c1"])])
    shown = repacked(EventDelivery.objects.first(), timezone.now()).requests[0]
    assert json.loads(shown.body)["userId"] in ids.values()
