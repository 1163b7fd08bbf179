"""Pages in real headless Chromium: nothing that the policy forbids, no error of a script, no other server.

An administrator's pages are walked once, by `test_browser_axe`, which looks for this as well.
"""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events import record
from events.models import EventDefinition, EventDelivery
from events.tracking import token
from integrations.models import Integration, Membership
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Customer
from nectorbridge.testing import make
from nectorbridge.testing.browser import MARKS, browsing
from nectorbridge.tests.test_admin_actions import a_row, addresses

pytestmark = [*MARKS, pytest.mark.django_db(transaction=True)]
LISTEN = """
document.addEventListener("securitypolicyviolation", event =>
    console.error(`forbidden: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
PROVIDERS = ("moengage", "clevertap", "wigzo", "mailmodo", "contlo")


class Walker:
    """A browser that notes what it does not like of each page."""

    def __init__(self, page, base: str) -> None:
        self.page, self.base, self.complaints, self.visited, self.examined = page, base, [], 0, set()
        page.add_init_script(LISTEN)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("request", self._request)

    def _console(self, message) -> None:
        where = message.location.get("url", "")
        expected = where == self.page.url  # a refusal is a page, too
        if message.type in ("error", "warning") and not (expected and message.text.startswith("Failed to load resource")):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _request(self, request) -> None:
        if urlsplit(request.url).scheme != "data" and not request.url.startswith(self.base):
            self.complaints.append(f"{self.page.url}: asks {request.url}")

    def go(self, path: str) -> int:
        from playwright.sync_api import Error

        answer = None
        with suppress(Error):  # a download is no page
            answer = self.page.goto(self.base + path, wait_until="load")
        self.visited += 1
        return answer.status if answer else 0


@pytest.fixture
def world(transactional_db):
    """Rows of every kind, so that pages have something to show."""
    shop = make.merchant(nector_webhook_secret="CANARY-NECTOR-SECRET")
    get_user_model().objects.create_superuser("root")
    Membership.objects.create(merchant=shop, user=get_user_model().objects.create_user("clerk", is_staff=True))
    customer = Customer.objects.create(merchant=shop, customer_id="c1", email="asha@example.com", name="Asha Rao")
    for slug in PROVIDERS:
        row = make.integration(shop, provider=slug)
        EventDefinition.objects.create(integration=row, trigger="walletreward_create", name="Wallet Coins Rewarded")
    services.credit(customer, 50)
    services.create_coupon(customer, "TEN", "percent", 10)
    record(make.activity(shop))
    for model, _model_admin in admin.site._registry.items():
        if not model._default_manager.exists():
            a_row(model)
    return shop


@pytest.fixture
def walker(live_server):
    with browsing() as page:
        yield Walker(page, live_server.url)


def logged_in(walker: Walker, username: str) -> None:
    client = Client()
    client.force_login(get_user_model().objects.get(username=username))
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    walker.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": walker.base}])


def all_pages() -> list[str]:
    """Return every address of the admin that leads to a page, for a row of each kind and for each provider."""
    found = [reverse("admin:index"), reverse("admin:password_change"), reverse("queue_health")]
    found += [reverse("second_factor"), reverse("second_factor_staff")]
    for model, model_admin in admin.site._registry.items():
        rows = list(model._default_manager.all()[:1])
        if model in (Integration, EventDefinition):
            rows = list(model._default_manager.all())
        for row in rows or [None]:
            found += addresses(model, model_admin, row)
    return [path for path in dict.fromkeys(found) if not path.endswith(("/autocomplete/", "/jsi18n/"))]


def test_the_policy_forbids_what_a_script_brings_and_the_walk_would_notice(walker, world):
    logged_in(walker, "root")
    walker.go(reverse("second_factor"))
    walker.page.get_by_role("button", name="Set it up").click()
    walker.page.locator("svg.qrcode, [role=img] svg").wait_for()
    assert walker.complaints == []

    walker.go(reverse("admin:index"))
    assert walker.page.evaluate("typeof window.Alpine === 'object'"), "the theme's own scripts run"
    with pytest.raises(Exception, match=r"Content Security Policy|violates"):
        walker.page.add_script_tag(content="window.ran = true")
    assert walker.page.evaluate("window.ran") is None
    assert any("forbidden: script-src" in line for line in walker.complaints), "the walk would have noticed"


def test_neither_has_any_that_staff_or_strangers_see(walker, world):
    for path in (reverse("admin:login"), "/nowhere/", f"/t/c/{token(EventDelivery.objects.first().pk)[:-1]}x", "/healthz"):
        walker.go(path)
    for _turn in range(5):
        walker.go(reverse("admin:login"))
        walker.page.fill("input[name=username]", "clerk")
        walker.page.fill("input[name=password]", "wrong")
        walker.page.get_by_role("button", name="Log in").click()
        walker.page.wait_for_load_state()
    walker.page.get_by_text("Too many attempts").first.wait_for()
    assert walker.page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "480px", "its style is applied"

    logged_in(walker, "clerk")
    for path in (page for page in all_pages() if "/integrations/" in page or page.count("/") == 4):
        walker.go(path)
    assert walker.complaints == []
