"""Every page of the admin in real headless Chromium: nothing that axe-core calls more than minor, light and dark, and nothing
that the policy forbids, no error of a script, no other server (see `test_browser_csp`). One walk looks for all of it.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from integrations.models import Integration
from nectorbridge.testing import axe
from nectorbridge.testing.browser import MARKS
from nectorbridge.tests import test_browser_csp
from nectorbridge.tests.test_browser_csp import Walker, all_pages, logged_in

pytestmark = [*MARKS, pytest.mark.django_db(transaction=True)]
world, walker = test_browser_csp.world, test_browser_csp.walker

# What cannot be mended, as (axe's rule, how the element's HTML begins), each with its reason. Nothing so far.
KNOWN: dict[tuple[str, str], str] = {}
COLOURS = "color-contrast", "link-in-text-block"  # the dark look changes colours and nothing else
SHOWN = "[location.href, document.body.innerText, document.querySelectorAll('*').length].join()"
IS_A_PAGE = "document.contentType === 'text/html' && document.compatMode === 'CSS1Compat'"  # a part of one has no doctype
# The theme asks for the browser's colours once, when it starts. Its class is what all its dark colours hang on.
LOOK = "look => document.documentElement.classList.toggle('dark', look === 'dark')"


def hindrances(walker: Walker, path: str) -> list[str]:
    """Open an address in both looks; return what axe found there, one line an element."""
    walker.page.emulate_media(color_scheme="light")
    if not walker.go(path) or not walker.page.evaluate(IS_A_PAGE):
        return []
    if (shown := walker.page.evaluate(SHOWN)) in walker.examined:  # verbs lead back to a page that was looked at
        return []
    walker.examined.add(shown)
    found = []
    for look, rules in (("light", ()), ("dark", COLOURS)):
        walker.page.emulate_media(color_scheme=look)
        walker.page.evaluate(LOOK, look)
        found += [f"{path} ({look}): {line}" for one in axe.violations(walker.page, *rules) for line in _lines(one)]
    return found


def _lines(violation: dict[str, Any]) -> list[str]:
    """Return a line for each element that is not known."""
    rule = violation["id"]
    nodes = [node for node in violation["nodes"] if not any(rule == one and node["html"].startswith(tag) for one, tag in KNOWN)]
    return [f"{rule}: {node['target']} {node['html']} {node['why']}" for node in nodes]


def test_no_page_hinders_anybody_in_light_or_dark_or_has_anything_that_the_policy_forbids(walker, world):
    axe.bring(walker.page)
    logged_in(walker, "root")
    found = [line for path in all_pages() for line in hindrances(walker, path)]
    assert found == []
    assert walker.complaints == []
    assert walker.visited > 100 and len(walker.examined) > 60


def test_neither_does_one_with_nothing_to_show_or_before_logging_in(walker, transactional_db):
    axe.bring(walker.page)
    found = [line for path in (reverse("admin:login"), "/nowhere/") for line in hindrances(walker, path)]
    get_user_model().objects.create_superuser("root")
    logged_in(walker, "root")
    assert not Integration.objects.exists()
    found += [line for path in all_pages() for line in hindrances(walker, path)]
    assert found == []
    assert walker.complaints == []


def test_the_walk_would_notice(walker, world):
    axe.bring(walker.page)
    logged_in(walker, "root")
    walker.go(reverse("admin:index"))
    walker.page.evaluate("""() => document.querySelector("#content-main").insertAdjacentHTML("beforeend",
        "<img src='data:,'><input><p style='color: #ddd; background: #fff'>pale</p>")""")
    assert {one["id"] for one in axe.violations(walker.page)} >= {"image-alt", "label", "color-contrast"}
    walker.page.evaluate("document.getElementById('main').removeAttribute('role')")
    assert {one["id"] for one in axe.violations(walker.page)} >= {"landmark-one-main", "region"}
