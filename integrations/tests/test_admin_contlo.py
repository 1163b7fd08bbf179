"""Contlo's set-up page: its guide's steps, the app that staff confirm themselves, and Initialize without it."""

from __future__ import annotations

import pytest
import responses

from integrations.models import Integration, Status
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_catalogue import CATALOGUE
from integrations.tests.test_admin_setup import text, url_of

CHECK = "https://marketing.contlo.com/api/integrations/zapier"
VALUES = {"common_property": "email", "private_api_key": "", "host": "", "app_installed": ""}


@pytest.fixture
def contlo(merchant):
    row = Integration(merchant=merchant, provider="contlo", common_property="email")
    row.secrets = {"private_api_key": CANARY}
    row.save()
    return row


def save(client, integration, **values):
    return client.post(url_of(integration), VALUES | values, follow=True)


def test_search_finds_it_beside_the_others(staff, merchant):
    page = text(staff.get(CATALOGUE, {"q": "contlo"}))

    assert "Configure Contlo" in page and "Configure CleverTap" not in page


def test_its_page_renders_every_step_and_field(staff, contlo):
    page = text(staff.get(url_of(contlo)))

    for number, step in enumerate(contlo.contract.guide.steps, 1):
        assert f'id="step-{number}-title"' in page and str(step.title) in page
    for name in VALUES:
        assert f'name="{name}"' in page
    assert "In Contlo: install the Nector app" in page and "App Market, search Nector, install" in page
    assert "whitelist" in page
    assert page.index('id="step-3-title"') < page.index('name="_initialize"') < page.index('id="step-4-title"')
    assert CANARY not in page


@pytest.mark.parametrize(("typed", "stored"), [("true", {"app_installed": True}), ("false", {"app_installed": False}), ("", {})])
def test_the_app_is_a_yes_or_no_that_is_kept_as_such(staff, contlo, typed, stored):
    save(staff, contlo, app_installed=typed)

    contlo.refresh_from_db()
    assert contlo.settings == stored


def test_the_api_address_is_tidied_and_an_internal_one_refused(staff, contlo):
    save(staff, contlo, host="API1.contlo.com/v1")
    contlo.refresh_from_db()
    assert contlo.settings == {"host": "https://api1.contlo.com"}

    assert "not an IP address or an internal name" in text(save(staff, contlo, host="https://169.254.169.254"))
    contlo.refresh_from_db()
    assert contlo.settings == {"host": "https://api1.contlo.com"}


@pytest.mark.parametrize("settings", [{}, {"app_installed": False}, {"app_installed": True}])
@responses.activate
def test_initialize_never_waits_for_the_app(contlo, settings):
    responses.add(responses.POST, CHECK, json={"success": True})
    contlo.settings = settings
    contlo.save()

    result = contlo.initialize()

    contlo.refresh_from_db()
    assert result.ok and contlo.status == Status.ACTIVE and contlo.enabled
    assert ("App Market" in result.detail) is (settings.get("app_installed") is not True)
    assert responses.calls[0].request.headers["X-API-KEY"] == CANARY


@responses.activate
def test_a_wrong_key_needs_attention_and_an_outage_changes_nothing(contlo):
    responses.add(responses.POST, CHECK, status=503)
    assert not contlo.initialize().ok
    contlo.refresh_from_db()
    assert contlo.status == Status.DRAFT

    responses.replace(responses.POST, CHECK, json={"success": False})
    assert not contlo.initialize().ok
    contlo.refresh_from_db()
    assert contlo.status == Status.ATTENTION and "Private API Key" in contlo.status_reason
