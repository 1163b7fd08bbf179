"""MoEngage's set-up page: built from its declarations, in the order of its own guide."""

from __future__ import annotations

import pytest

from integrations.models import Integration
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_catalogue import CATALOGUE
from integrations.tests.test_admin_setup import text, url_of

WORKSPACE = "VJ0GSMESHMQA3L7WV1EEK3UR"
VALUES = {
    "common_property": "customer_id",
    "workspace_id": WORKSPACE,
    "data_api_key": "",
    "server_prefix": "03",
    "project_code": "",
    "allow_bulk": "",
    "real_time_action": "",
    "egress_ip": "",
}


@pytest.fixture
def moengage(merchant) -> Integration:
    return Integration.objects.create(merchant=merchant, provider="moengage")


def save(client, integration, **values):
    answer = client.post(url_of(integration), VALUES | values, follow=True)
    integration.refresh_from_db()
    return text(answer)


def test_the_page_mirrors_the_guides_steps_in_order(staff, moengage):
    page = text(staff.get(url_of(moengage)))

    titles = [str(step.title) for step in moengage.contract.guide.steps]
    assert titles[:4] == ["Common Property", "App ID / API ID", "Private API Key", "Server Prefix"]
    places = [page.index(f'id="step-{number}-title"') for number in range(1, len(titles) + 1)]
    assert places == sorted(places) and titles.index("Initialize") == 4
    for piece in ("Not Push", "Settings &gt; Account &gt; APIs", "Before you start", *titles):
        assert piece in page
    assert page.index('id="step-5-title"') < page.index('name="_initialize"') < page.index('id="step-6-title"')
    assert page.count('type="password"') == 1
    assert page.index("Only some accounts need this") < page.index('name="project_code"') < page.index('name="_save"')
    assert '<details class="mt-6 nb-seldom">' in page, "what most do not need is folded"
    Integration.objects.filter(pk=moengage.pk).update(settings=moengage.settings | {"project_code": "prj1"})
    assert '<details class="mt-6 nb-seldom" open>' in text(staff.get(url_of(moengage))), "what has a value is not hidden"


def test_an_unknown_data_centre_is_refused_at_its_field_and_not_saved(staff, moengage):
    page = save(staff, moengage, server_prefix="https://dashboard-09.moengage.com")

    assert "MoEngage has no data centre" in page and moengage.settings == {}


def test_the_key_is_saved_sealed_and_never_shown(staff, moengage):
    assert CANARY not in save(staff, moengage, data_api_key=f" {CANARY} ")
    assert moengage.secrets == {"data_api_key": CANARY}
    assert CANARY not in text(staff.get(url_of(moengage)))


def test_switches_are_saved_as_booleans_and_the_address_is_checked(staff, moengage):
    save(staff, moengage, allow_bulk="false", real_time_action="true", egress_ip="203.0.113.7", project_code="prj1")
    expected = {"allow_bulk": False, "real_time_action": True, "egress_ip": "203.0.113.7", "project_code": "prj1"}
    assert moengage.settings == {"workspace_id": WORKSPACE, "server_prefix": "03"} | expected

    assert "is not an IP address" in save(staff, moengage, egress_ip="here")


def test_search_finds_its_card(staff, merchant):
    page = text(staff.get(CATALOGUE, {"q": "moengage"}))

    assert "Configure MoEngage" in page and "Configure CleverTap" not in page
