"""What failed is sent again, all of it, in real headless Chromium against real processes: count, progress, result, one replay."""

from __future__ import annotations

import re

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, MERCHANT, browsing, log_in, served
from nectorbridge.testing.installation import wait_for

pytestmark = MARKS

PASSCODE = "CANARY-PASSCODE-42"
FAILED = 1203
ROWS = f"""
from django.utils import timezone
from events.identifiers import new_id
from events.payload import delivery_fields
i = Integration(
    merchant=m, provider="clevertap", enabled=True, status="active", initialized_at=timezone.now(),
    settings={{"account_id": "K97-K78-1234", "server_prefix": "in1"}},
)
i.secrets = {{"private_api_key": "{PASSCODE}"}}
i.save()
d = EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="Wallet Coins Rewarded")
people = Customer.objects.bulk_create(
    Customer(merchant=m, customer_id=f"c{{n}}", email=f"c{{n}}@example.com", name=f"Person {{n}}") for n in range({FAILED})
)
people[0].consent_email = "unsubscribed"
people[0].save()
rows = []
for person in people:
    key = new_id()
    rows.append(EventDelivery(
        id=key, definition=d, integration=i, merchant=m, trigger=d.trigger, event_name=d.name, customer_ref=person.ref,
        recipient=person.recipient, payload=delivery_fields({{"coins": 50}}, key), idempotency_key=f"{{d.pk}}:{{key}}",
        status="failed", reason="exhausted", occurred_at=timezone.now(), attempt_count=18, next_attempt_at=None,
    ))
EventDelivery.objects.bulk_create(rows)
print(1)
"""


@pytest.fixture
def sandbox():
    with Sandbox.running(accounts={"K97-K78-1234": PASSCODE}) as running:
        yield running


@pytest.fixture
def page():
    with browsing() as opened:
        yield opened


def test_all_that_failed_is_retried_with_a_count_before_and_a_bar_until_it_is_done(page, tmp_path, sandbox):
    with served(tmp_path, sandbox, MERCHANT + ROWS) as (outside, base):
        log_in(page, base)
        page.goto(f"{base}/admin/events/eventdelivery/?status__exact=failed")
        page.get_by_role("link", name=re.compile("Retry$")).first.click()
        page.get_by_text("Retry 1,203 deliveries?").first.wait_for()
        assert outside.ask("print(json.dumps(EventDelivery.objects.filter(status='failed').count()))") == FAILED

        page.get_by_role("button", name=re.compile("Retry")).click()
        page.wait_for_url(re.compile("/bulkaction/"))
        page.locator("progress").first.wait_for()
        page.get_by_text("Done").first.wait_for(timeout=60_000)
        assert page.locator("progress").first.get_attribute("value") == "100"
        page.get_by_text("1,202").first.wait_for()
        page.get_by_text("Not sent: the customer unsubscribed").first.wait_for()

        wait_for(lambda: len(sandbox.deliveries("clevertap")) == FAILED - 1, 60, "all of them at the provider, the one apart")
        counted = "print(json.dumps({s: EventDelivery.objects.filter(status=s).count() for s in ('sent', 'skipped', 'failed')}))"
        wait_for(lambda: outside.ask(counted) == {"sent": FAILED - 1, "skipped": 1, "failed": 0}, 30, "all of them settled")

        page.goto(f"{base}/admin/events/eventdelivery/?status__exact=sent")
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("link", name=re.compile("Replay")).first.click()
        page.get_by_text("This delivery was sent already").first.wait_for()
        page.get_by_role("button", name=re.compile("Replay")).dblclick()
        page.get_by_text("This is a replay of the delivery of").first.wait_for()
        wait_for(lambda: len(sandbox.deliveries("clevertap")) == FAILED, 20, "the replay at the provider")
        page.get_by_role("link", name="Open the first one").click()
        page.get_by_text("It was replayed:").first.wait_for()
        assert outside.ask("print(json.dumps(EventDelivery.objects.filter(replay_of__isnull=False).count()))") == 1
        assert page.problems == []
