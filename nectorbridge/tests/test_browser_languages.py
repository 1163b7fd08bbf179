"""Choosing a language in real headless Chromium: on the log-in page, which is remembered, and in the menu of the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from nectorbridge.testing import axe, make
from nectorbridge.testing.browser import MARKS, PASSWORD
from nectorbridge.tests import test_browser_csp

pytestmark = [*MARKS, pytest.mark.django_db(transaction=True)]
walker = test_browser_csp.walker
LANGUAGE = "document.documentElement.lang"


def test_a_language_is_chosen_before_logging_in_and_changed_in_the_menu(walker, transactional_db):
    get_user_model().objects.create_superuser("root", password=PASSWORD)
    make.integration()
    page = walker.page
    axe.bring(page)
    walker.go("/admin/login/?next=/admin/password_change/")
    assert page.evaluate(LANGUAGE) == "en"
    page.get_by_role("button", name="हिंदी").click()
    page.get_by_role("button", name="लॉग इन").wait_for()
    assert page.evaluate(LANGUAGE) == "hi" and page.url.endswith("?next=/admin/password_change/")
    assert [one["id"] for one in axe.violations(page)] == []

    page.fill("input[name=username]", "root")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="लॉग इन").click()
    page.wait_for_url("**/password_change/")
    walker.go("/admin/integrations/integration/")
    assert page.evaluate(LANGUAGE) == "hi"
    page.get_by_text("root", exact=True).last.click()
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Integrations").first.wait_for()
    assert page.evaluate(LANGUAGE) == "en" and page.url.endswith("/admin/integrations/integration/")
    assert walker.complaints == []
