"""Creating events that need more than a name: milestones, reminders, limits; and what the customer's page says of consent."""

from __future__ import annotations

import re

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, MERCHANT, browsing, log_in, served
from nectorbridge.testing.installation import wait_for

pytestmark = MARKS
PEOPLE = """
m.coin_name = "stars"
m.timezone = "Asia/Kolkata"
m.save()
Customer.objects.create(merchant=m, customer_id="6937201", email="asha@example.com", name="Asha Rao", phone="+919876543210")
Integration.objects.create(merchant=m, provider="clevertap", settings={"account_id": "K97", "server_prefix": "in1"},
    secrets={"private_api_key": "CANARY-PASSCODE-42"}).initialize()
print(1)
"""
SAVED = """
columns = ("trigger", "threshold", "lead_days", "remind_hour", "cap_count")
print(json.dumps(list(EventDefinition.objects.values_list(*columns))))
"""
REASONS = "print(json.dumps(sorted(EventDelivery.objects.values_list('status', 'reason'))))"


@pytest.fixture
def served_site(tmp_path):
    with Sandbox.running() as sandbox, served(tmp_path, sandbox, MERCHANT + PEOPLE) as (outside, address):
        yield outside, address


@pytest.fixture
def page():
    with browsing() as opened:
        yield opened


def choose(page, trigger: str) -> None:
    """Choose a trigger, as picking it from the list does."""
    page.evaluate(
        "key => { const field = document.querySelector('select[name=trigger]'); field.value = key;"
        " django.jQuery(field).trigger('change'); }",
        trigger,
    )


def visible(page, *names: str) -> list[bool]:
    return [page.locator(f"[name={name}]").is_visible() for name in names]


def save(page) -> None:
    page.get_by_role("button", name="Create event").click()


def test_an_event_shows_the_settings_that_its_trigger_has_and_keeps_them(page, served_site):
    outside, base = served_site
    log_in(page, base)
    page.goto(f"{base}/admin/events/eventdefinition/add/")
    choose(page, "walletreward_create")
    assert visible(page, "threshold", "lead_days", "wait_days") == [False] * 3
    choose(page, "coinexpirynotify_create")
    assert visible(page, "threshold", "lead_days", "remind_hour", "wait_days") == [False, True, True, False]
    choose(page, "unusedcouponrequest_create")
    assert visible(page, "lead_days", "wait_days", "most_reminders", "gap_days", "remind_hour") == [False, True, True, True, True]
    choose(page, "milestone_reached")
    assert visible(page, "threshold", "close_within", "remind_hour") == [True, True, False]
    save(page)
    page.get_by_text("A milestone needs a number.").wait_for()
    page.locator("[name=threshold]").fill("1000")
    save(page)
    page.wait_for_url(re.compile("eventdefinition/($|[0-9]+/)"))

    page.goto(f"{base}/admin/events/eventdefinition/add/")
    choose(page, "coinexpirynotify_create")
    page.locator("[name=lead_days]").fill("soon")
    save(page)
    page.get_by_text(re.compile("numbers of days")).first.wait_for()
    page.locator("[name=lead_days]").fill("14, 2")
    page.locator("[name=remind_hour]").fill("18")
    page.get_by_text("To whom, how often, and when").click()
    page.locator("[name=cap_count]").fill("2")
    save(page)
    page.wait_for_url(re.compile("eventdefinition/($|[0-9]+/)"))
    saved = sorted(outside.ask(SAVED))
    assert saved == [["coinexpirynotify_create", None, "14, 2", 18, 2], ["milestone_reached", 1000, "30, 7, 1", 10, None]]
    assert not page.problems


def test_who_says_no_on_the_customers_page_gets_nothing_and_the_page_says_since_when(page, served_site):
    outside, base = served_site
    outside.ask("EventDefinition.objects.create(integration=Integration.objects.get(), trigger='walletreward_create'); print(1)")
    key = outside.ask("print(json.dumps(Customer.objects.get().pk))")
    log_in(page, base)
    page.goto(f"{base}/admin/loyalty/customer/{key}/change/")
    page.locator("select[name=consent_email]").select_option("unsubscribed")
    page.get_by_role("button", name="Save and continue editing").last.click()
    page.get_by_text("What they said about being written to").wait_for()
    assert "edited" in page.content()
    outside.ask("services.credit(Customer.objects.get(), 50); print(1)")
    wait_for(lambda: outside.ask(REASONS) == [["skipped", "no_consent"]], 10, "it to be left out")
    page.reload()
    page.get_by_text("Skipped").first.wait_for()
    assert not page.problems
