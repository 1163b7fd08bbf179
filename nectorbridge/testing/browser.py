"""A real headless Chromium before a whole installation, and the clicks that every journey in it begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import Outside, installation, wait_for
from nectorbridge.testing.parts import FLAGS, browser_missing, chromium, free_port, is_ready

MARKS = [
    pytest.mark.browser,
    pytest.mark.journey,
    pytest.mark.skipif(bool(browser_missing()), reason=browser_missing() or "-"),
]
STAFF = "meera"
PASSWORD = "a-Long-Enough-Word-7"  # noqa: S105 - of an installation that lives for one test
FORBIDDEN = "Content Security Policy"  # as Chromium words what it refuses
MERCHANT = f"""
from django.contrib.auth import get_user_model
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
u = get_user_model().objects.create_user("{STAFF}", "{STAFF}@acme.example", "{PASSWORD}", is_staff=True)
Membership.objects.create(merchant=m, user=u)
"""


@contextmanager
def served(folder: Path, sandbox: Sandbox, people: str, **environment: str) -> Iterator[tuple[Outside, str]]:
    """Run `up` with every provider in the sandbox, after the code of `people`; yield the installation and its address."""
    addresses = {f"{slug.upper()}_BASE_URL": sandbox.url_of(slug) for slug in sandbox.providers}
    given = {**addresses, "ADMIN_PASSWORD": PASSWORD, "DELIVERY_RETRY_STEPS": "1,2,4", **environment}
    port = free_port()
    with installation("sqlite", folder, **given) as outside:
        outside.ask(people)
        with outside.running("up", "--port", str(port)):
            wait_for(lambda: "Nectorbridge is running" in outside.log("up"), 60, "up")
            wait_for(lambda: is_ready(port), 40, "a worker")
            yield outside, f"http://127.0.0.1:{port}"


@contextmanager
def browsing(height: int = 900) -> Iterator[Any]:
    """Open a page of its own; `page.problems` has its scripts' errors and what was forbidden, `page.seen` what was loaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": height})
        page.set_default_timeout(15_000)
        page.problems, page.seen = [], []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if FORBIDDEN in message.text else None)
        page.on("load", _keep)
        yield page
        browser.close()


def log_in(page: Any, base: str, name: str = STAFF) -> None:
    """Log in as the merchant's member of staff, or as somebody else with the same password."""
    page.goto(f"{base}/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name=re.compile("log in", re.I)).click()
    page.wait_for_url(f"{base}/admin/")


def configure(page: Any, words: str) -> None:
    """Open Integrations from the menu, search, and press the only provider's Configure."""
    page.get_by_role("link", name=re.compile("Integrations$")).first.click()
    page.get_by_label("Find an integration").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q="))
    page.get_by_role("button", name=re.compile("Configure")).click()
    page.get_by_role("button", name="Initialize").wait_for()


def grant(page: Any, amount: int) -> None:
    """On a customer's page open the dialog, grant coins, and wait for the word that it worked."""
    page.get_by_role("link", name=re.compile("Grant", re.I)).first.click()
    page.locator("input[name=amount]:visible").fill(str(amount))
    page.locator("form:has(input[name=amount]) button[type=submit]:visible").first.click()
    page.wait_for_url(re.compile("/change/$"))
    page.get_by_text(re.compile(str(amount))).first.wait_for()


def _keep(page: Any) -> None:
    """Keep the source of a page that was loaded, unless the next one is on its way already."""
    from playwright.sync_api import Error

    with suppress(Error):
        page.seen.append(page.content())
