"""Configuring a provider, retrying a delivery and unfolding the side bar, by keyboard alone in real headless Chromium."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from events.models import EventDelivery
from integrations.models import Integration
from nectorbridge.testing.browser import MARKS
from nectorbridge.tests import test_browser_csp
from nectorbridge.tests.test_browser_csp import logged_in

pytestmark = [*MARKS, pytest.mark.django_db(transaction=True)]
world, walker = test_browser_csp.world, test_browser_csp.walker
MOST_TABS = 80
WORDS = "() => (document.activeElement.innerText || document.activeElement.value || '').replace(/\\s+/g, ' ').trim()"
HAS_RING = """() => {
    const look = getComputedStyle(document.activeElement);
    const outline = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) > 0;
    return document.activeElement.matches(':focus-visible') && (outline || look.boxShadow !== 'none');
}"""


def tab_to(page, words: str) -> None:
    """Press Tab until what has the focus ends with these words; it must be seen to have it."""
    seen = []
    for _number in range(MOST_TABS):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(WORDS))
        if re.search(rf"{words}$", seen[-1]):
            assert page.evaluate(HAS_RING), f"nobody sees that “{seen[-1]}” has the focus"
            return
    raise AssertionError(f"no Tab leads to “{words}”, but to {seen}")


def test_a_provider_is_configured_by_keyboard(walker, world):
    Integration.objects.filter(provider="wigzo").update(provider="contlo")
    logged_in(walker, "clerk")
    walker.go(reverse("admin:index"))
    tab_to(walker.page, "Integrations")
    walker.page.keyboard.press("Enter")
    walker.page.wait_for_url(re.compile("/integrations/integration/$"))
    tab_to(walker.page, "Configure.*")
    walker.page.keyboard.press("Enter")
    walker.page.get_by_role("button", name="Initialize").wait_for()
    assert Integration.objects.filter(provider="wigzo").count() == 1


def test_a_delivery_is_retried_by_keyboard(walker, world):
    row = EventDelivery.objects.filter(integration__provider="clevertap", status="queued").first()
    EventDelivery.objects.filter(pk=row.pk).update(status="failed", reason="refused", next_attempt_at=None)
    logged_in(walker, "clerk")
    walker.go(reverse("admin:events_eventdelivery_change", args=[row.pk]))
    tab_to(walker.page, "Retry")
    walker.page.keyboard.press("Enter")
    walker.page.get_by_text("Send this delivery again?").wait_for()
    assert EventDelivery.objects.get(pk=row.pk).status == "failed", "asked first"
    tab_to(walker.page, "Retry")
    with walker.page.expect_response(lambda answer: answer.request.method == "POST"):
        walker.page.keyboard.press("Enter")
    assert EventDelivery.objects.get(pk=row.pk).status == "queued"


def test_what_is_folded_in_the_side_bar_is_reached_by_keyboard(walker, world):
    logged_in(walker, "clerk")
    walker.go(reverse("admin:index"))
    heading = walker.page.get_by_role("button", name="Administration", exact=False).first
    assert heading.get_attribute("aria-expanded") == "false"
    tab_to(walker.page, "Administration")
    walker.page.keyboard.press("Enter")
    walker.page.locator("#nav-sidebar-apps [role=button][aria-expanded=true]").wait_for()
    tab_to(walker.page, "Merchants")
    walker.page.keyboard.press("Enter")
    walker.page.wait_for_url(re.compile("/integrations/merchant/"))
