"""A retention manager's first quarter of an hour, in real headless Chromium, against real processes."""

from __future__ import annotations

import re

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, MERCHANT, browsing, configure, grant, log_in, served
from nectorbridge.testing.installation import wait_for

pytestmark = MARKS

PASSCODE = "CANARY-PASSCODE-42"
PEOPLE = """
m.coin_name = "stars"
m.save()
Customer.objects.create(merchant=m, customer_id="6937201", email="asha@example.com", name="Asha Rao", phone="+919876543210")
print(1)
"""


@pytest.fixture
def sandbox():
    with Sandbox.running(accounts={"K97-K78-1234": PASSCODE}) as running:
        yield running


@pytest.fixture
def base(tmp_path, sandbox):
    with served(tmp_path, sandbox, MERCHANT + PEOPLE) as (_outside, address):
        yield address


@pytest.fixture
def page():
    with browsing() as opened:
        yield opened


def test_log_in_configure_initialize_grant_coins_and_see_them_sent(page, base, sandbox):
    log_in(page, base)
    assert "Connect" in page.content(), "a new merchant is told what to do first"

    configure(page, "clever")
    page.locator("input[name=account_id]").fill(" K97-K78-1234 ")
    page.locator("input[name=private_api_key]").fill("WRONG-PASSCODE")
    page.locator("input[name=server_prefix]").fill("https://in1.dashboard.clevertap.com/K97-K78-1234/")
    page.get_by_role("button", name="Initialize").click()
    page.get_by_text(re.compile("refused the Account ID, the Passcode or the Server Prefix")).first.wait_for()

    page.locator("input[name=private_api_key]").fill(PASSCODE)
    page.get_by_role("button", name="Initialize").click()
    page.get_by_text(re.compile("Connected to account K97-K78-1234")).first.wait_for()
    assert PASSCODE not in page.content() and "ends in" in page.content()
    assert page.evaluate("'outcome' in document.activeElement.dataset"), "what came of it is read out"

    page.locator("input[name=private_api_key]").fill("ANOTHER-WRONG-PASSCODE")
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.get_by_text(re.compile("The new values were refused: CleverTap refused")).first.wait_for()
    page.get_by_text("The previous ones stay in use.").first.wait_for()

    page.get_by_role("link", name="Create an event").first.click()
    page.select_option("select[name=trigger]", "walletreward_create")
    page.locator("#nb-sketch").get_by_text("https://in1.api.clevertap.com/1/upload").first.wait_for()
    assert page.locator("input[name=name]").get_attribute("placeholder") == "walletreward_create"
    page.fill("input[name=name]", "App Launched")
    page.locator("#nb-name-hint").get_by_text(re.compile("keeps the name")).wait_for()
    page.locator("button[name=_save], input[name=_save]").first.click()
    page.get_by_text(re.compile("keeps the name")).first.wait_for()
    page.fill("input[name=name]", "Wallet Stars Rewarded")
    page.locator("button[name=_save], input[name=_save]").first.click()
    page.wait_for_load_state()

    page.goto(f"{base}/admin/loyalty/customer/")
    page.get_by_role("link", name="Asha Rao").first.click()
    grant(page, 120)

    wait_for(lambda: sandbox.deliveries("clevertap"), 20, "the event at the provider")
    (arrived,) = [a for a in sandbox.arrived("clevertap") if a.kind == "event"]
    assert (arrived.name, arrived.identity) == ("Wallet Stars Rewarded", "6937201")
    assert arrived.record["evtData"]["coins"] == 120

    page.goto(f"{base}/admin/events/eventdelivery/")
    page.get_by_text("Wallet Stars Rewarded").first.wait_for()
    wait_for(lambda: page.reload() and "sent" in page.locator("#result_list").inner_text().lower(), 15, "sent in the list")
    page.locator("#result_list a").first.click()
    page.get_by_text(re.compile("CleverTap accepted it")).first.wait_for()
    assert PASSCODE not in page.content()
    assert page.problems == []
