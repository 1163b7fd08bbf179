"""A retention manager's first quarter of an hour, in real headless Chromium, against real processes."""

from __future__ import annotations

import re

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import installation, wait_for
from nectorbridge.testing.parts import browser_missing, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.journey,
    pytest.mark.skipif(bool(browser_missing()), reason=browser_missing() or "-"),
]

PASSWORD = "a-Long-Enough-Word-7"
PASSCODE = "CANARY-PASSCODE-42"
PEOPLE = f"""
from django.contrib.auth import get_user_model
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example", coin_name="stars")
u = get_user_model().objects.create_user("meera", "meera@acme.example", "{PASSWORD}", is_staff=True)
Membership.objects.create(merchant=m, user=u)
Customer.objects.create(merchant=m, customer_id="6937201", email="asha@example.com", name="Asha Rao", phone="+919876543210")
print(1)
"""


@pytest.fixture
def sandbox():
    with Sandbox.running(accounts={"K97-K78-1234": PASSCODE}) as running:
        yield running


@pytest.fixture
def base(tmp_path, sandbox):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"CLEVERTAP_BASE_URL": sandbox.url_of("clevertap"), "ADMIN_PASSWORD": PASSWORD, "DELIVERY_RETRY_STEPS": "1,2,4"}
    with installation("sqlite", tmp_path, **environment) as outside:
        outside.ask(PEOPLE)
        with outside.running("up", "--port", str(port)):
            wait_for(lambda: "Nectorbridge is running" in outside.log("up"), 60, "up")
            wait_for(lambda: ready(port), 40, "a worker")
            yield f"http://127.0.0.1:{port}"


def ready(port: int) -> bool:
    import requests

    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
    except requests.RequestException:
        return False


@pytest.fixture
def page():
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=flags)
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(15_000)
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        yield opened
        browser.close()


def log_in(page, base):
    page.goto(f"{base}/")
    page.fill("input[name=username]", "meera")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name=re.compile("log in", re.I)).click()
    page.wait_for_url(f"{base}/admin/")


def test_log_in_configure_initialize_grant_coins_and_see_them_sent(page, base, sandbox):
    log_in(page, base)
    assert "Connect" in page.content(), "a new merchant is told what to do first"

    page.goto(f"{base}/admin/integrations/integration/")
    page.get_by_role("searchbox").first.fill("clever")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("Configure")).first.click()

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
    grant(page)

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


def grant(page):
    """Open the dialog, grant 120 coins, and wait for the word that it worked."""
    page.get_by_role("link", name=re.compile("Grant stars", re.I)).first.click()
    page.locator("input[name=amount]:visible").fill("120")
    page.locator("form:has(input[name=amount]) button[type=submit]:visible").first.click()
    page.get_by_text(re.compile("120")).first.wait_for()
