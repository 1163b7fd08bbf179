"""From a sent message to its click on the statistics, in real headless Chromium against real processes; light, dark, narrow."""

from __future__ import annotations

import re

import pytest
import requests

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, MERCHANT, browsing, log_in, served
from nectorbridge.testing.installation import wait_for

pytestmark = MARKS
AGENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"
PASSWORD_OF_CALLBACKS = "CANARY-nector:callback-31"
SHOP = """
m.timezone = "Asia/Kolkata"
m.save()
i = Integration.objects.create(merchant=m, provider="clevertap", settings={"account_id": "K97", "server_prefix": "in1"},
    secrets={"private_api_key": "CANARY-PASSCODE-42"})
i.initialize()
d = EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="Wallet Coins Rewarded",
    destination="https://shop.example/coins")
asha = Customer.objects.create(merchant=m, customer_id="6937201", email="asha@example.com", name="Asha Rao")
Customer.objects.create(merchant=m, customer_id="6937202", email="vikram@example.com", name="Vikram Shah")
print(json.dumps([i.pk, d.pk, asha.pk]))
"""
SENT = """
sent = EventDelivery.objects.filter(status="sent").order_by("pk").values_list("pk", flat=True)
print(json.dumps([str(pk) for pk in sent]))
"""
EARN = "for c in Customer.objects.order_by('pk'): services.credit(c, 50, 'Order', portal='online_store')\nprint(1)"
COUNT = """
from events import statistics_engagement
while statistics_engagement.count(): pass
print(json.dumps(sorted(Engagement.objects.values_list('kind', 'source', 'is_machine'))))
"""
LINK = "from events import tracking\nprint(json.dumps(tracking.token(EventDelivery.objects.get(pk='DELIVERY').pk)))"


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def page():
    with browsing() as opened:
        yield opened


def looks_right(page, address: str, *words: str) -> None:
    """Open a page wide and narrow, light and dark: it has these words, nothing sticks out, and no script fails."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (360, 1366):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address)
            for text in words:
                page.get_by_text(re.compile(text)).first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, scheme, width)
    assert page.problems == []


def test_a_click_and_a_callback_are_seen_wherever_they_count(page, tmp_path, sandbox):
    with served(tmp_path, sandbox, MERCHANT + "print(1)") as (outside, base):
        integration, definition, asha = outside.ask("m = Merchant.objects.get()\n" + SHOP)
        admin = f"{base}/admin/events/eventdefinition"
        log_in(page, base)
        looks_right(page, f"{admin}/{definition}/statistics/", "Nothing was recorded yet")
        looks_right(page, f"{admin}/{definition}/worth/", "Nothing was sent in this period")

        outside.ask(EARN)
        wait_for(lambda: len(outside.ask(SENT)) == 2, 40, "both to be sent")
        first, second = outside.ask(SENT)
        token = outside.ask(LINK.replace("DELIVERY", first))
        clicked = requests.get(f"{base}/t/c/{token}", headers={"User-Agent": AGENT}, allow_redirects=False, timeout=10)
        assert (clicked.status_code, clicked.headers["Location"]) == (302, "https://shop.example/coins")
        assert requests.get(f"{base}/t/c/{token[:-2]}xx", allow_redirects=False, timeout=10).status_code == 404

        page.goto(f"{admin}/statistics/{integration}/")
        page.get_by_role("link", name="Coming back").click()
        page.get_by_text("No callback has come yet.").wait_for()
        page.get_by_label("Authentication").fill(PASSWORD_OF_CALLBACKS)
        page.get_by_role("button", name="Save").click()
        page.get_by_text("A call that does not show it is refused.").wait_for()
        shown = page.locator("dd", has_text="/callbacks/clevertap/").first.inner_text()
        address = re.search(r"https?://\S+/callbacks/clevertap/\S+/click/|https?://\S+/callbacks/clevertap/\S+/", shown)[0]
        path = "/callbacks/" + address.split("/callbacks/")[1].rsplit("/", 2)[0] + "/open/"
        body = {"nector_delivery_id": second, "email": "vikram@example.com", "event": "open", "id": "o-1"}
        assert requests.post(base + path, json=body, timeout=10).status_code == 401
        user, _colon, word = PASSWORD_OF_CALLBACKS.partition(":")
        for stored in (True, False):  # told twice
            told = requests.post(base + path, json=body, auth=(user, word), timeout=10)
            assert told.status_code == 200 and told.json()["stored"] is stored
        happened = [["click", "link", False], ["open", "clevertap", False]]
        wait_for(lambda: outside.ask(COUNT) == happened, 30, "the callback to be worked on")

        looks_right(page, page.url.split("?")[0], "The last callback came at", "In the last 7 days: 1 matched")
        looks_right(page, f"{admin}/statistics/{integration}/", "50.0 % of what was sent", "What came back", "By day")
        looks_right(page, f"{admin}/{definition}/statistics/?period=today", "From the activity to the click", "By hour")
        looks_right(page, f"{admin}/{definition}/worth/", "Too early to tell")
        looks_right(page, f"{base}/admin/", "Unique clicks", "Sent, opened and clicked")
        looks_right(page, f"{base}/admin/events/eventdelivery/{first}/change/", "[Cc]licked", "curl")
        looks_right(page, f"{base}/admin/loyalty/customer/{asha}/change/", "Wallet Coins Rewarded")
        assert "CANARY" not in "".join(page.seen)


def test_a_customer_is_exported_and_erased_by_an_owner(page, tmp_path, sandbox):
    with served(tmp_path, sandbox, MERCHANT + "print(1)") as (outside, base):
        _integration, _definition, asha = outside.ask("m = Merchant.objects.get()\n" + SHOP)
        outside.ask(EARN)
        wait_for(lambda: len(outside.ask(SENT)) == 2, 40, "both to be sent")
        log_in(page, base)
        page.goto(f"{base}/admin/loyalty/customer/{asha}/change/")
        with page.expect_download() as download:
            page.get_by_role("link", name=re.compile("Export")).or_(
                page.get_by_role("button", name=re.compile("Export"))
            ).first.click()
        text = download.value.path().read_text()
        assert "asha@example.com" in text and "vikram@example.com" not in text
        page.get_by_role("link", name=re.compile("Erase")).first.click()
        page.get_by_label(re.compile("to confirm")).fill("somebody else")
        page.get_by_role("button", name=re.compile("Erase")).click()
        page.get_by_role("alert").nth(1).wait_for()
        page.get_by_label(re.compile("to confirm")).fill("6937201")
        page.get_by_role("button", name=re.compile("Erase")).click()
        page.wait_for_url(re.compile("/erasurereport/"))
        assert outside.ask("print(json.dumps(list(Customer.objects.values_list('email', flat=True))))") == ["vikram@example.com"]
        page.goto(f"{base}/admin/events/eventdelivery/")
        page.locator("#result_list").wait_for()
        assert "asha@example.com" not in page.content() and outside.ask(SENT)
        assert page.problems == []
