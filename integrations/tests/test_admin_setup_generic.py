"""The set-up page is built from declarations alone: a provider that nobody has seen before needs no template."""

from __future__ import annotations

import pytest

from integrations import providers
from integrations.models import Integration
from integrations.providers.base import Field, Guide, Step
from integrations.providers.clevertap import CleverTap
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_catalogue import CATALOGUE, CONFIGURE
from integrations.tests.test_admin_setup import save, text, url_of

YES_NO = (("true", "Yes"), ("false", "No"))


class Pigeon(CleverTap):
    """Two secrets, a choice, a yes or no, an optional value; a step with a field comes after Initialize."""

    slug = "pigeon"
    label = "Pigeon Post"
    category = "Feathers"
    identities = (("email", "Email"),)
    fields = (
        Field("org_token", "Org token", "On the loft's wall.", secret=True),
        Field("api_token", "API token", "Under the loft.", secret=True),
        Field("speed", "Speed", "Ask the bird.", choices=(("fast", "Fast bird"), ("slow", "Slow bird"))),
        Field("list_name", "List Name", "Any clear name.", required=False),
        Field("app_installed", "App installed", "In the loft.", choices=YES_NO, required=False),
    )
    guide = Guide(
        purpose="Letters on wings.",
        before=("A loft.",),
        steps=(
            Step("Tokens", "Copy both.", ("org_token", "api_token")),
            Step("Common Property", "Email.", ("common_property", "speed", "list_name")),
            Step("Initialize", "We ask the loft."),
            Step("In the loft: install", "Both sides must be on.", ("app_installed",)),
            Step("Create an event", "Choose."),
        ),
    )

    def clean(self, name: str, value: str) -> str:
        return value.strip()


@pytest.fixture
def pigeon(merchant):
    providers.register(Pigeon())
    yield Integration.objects.create(merchant=merchant, provider="pigeon", common_property="email")
    providers.unregister("pigeon")


VALUES = {"common_property": "email", "org_token": "", "api_token": "", "speed": "", "list_name": "", "app_installed": ""}


def test_its_card_stands_in_its_own_category(staff, pigeon):
    page = text(staff.get(CATALOGUE))

    assert page.index("Email &amp; WhatsApp Marketing") < page.index("Feathers")
    assert "Configure Pigeon Post" in page


def test_configure_proposes_the_first_identity_it_takes(staff, pigeon, merchant):
    pigeon.delete()

    staff.post(CONFIGURE, {"merchant": merchant.pk, "provider": "pigeon"})

    assert Integration.objects.get().common_property == "email"


def test_initialize_stands_at_the_first_step_without_fields(staff, pigeon):
    page = text(staff.get(url_of(pigeon)))

    assert page.count('name="_initialize"') == 1
    assert page.index('id="step-3-title"') < page.index('name="_initialize"') < page.index('id="step-4-title"')
    assert page.count('name="_save"') == 2
    assert page.count('type="password"') == 2
    assert "Fast bird" in page


def test_its_values_are_saved_each_in_its_place(staff, pigeon):
    save(staff, pigeon, **VALUES | {"org_token": CANARY, "speed": "slow", "list_name": " Members ", "app_installed": "true"})

    pigeon.refresh_from_db()
    assert pigeon.settings == {"speed": "slow", "list_name": "Members", "app_installed": True}
    assert pigeon.secrets == {"org_token": CANARY}


def test_a_second_secret_joins_the_first(staff, pigeon):
    save(staff, pigeon, **VALUES | {"org_token": CANARY})
    save(staff, pigeon, **VALUES | {"api_token": "second-token-1234"})

    pigeon.refresh_from_db()
    assert pigeon.secrets == {"org_token": CANARY, "api_token": "second-token-1234"}


def test_a_choice_that_does_not_exist_is_refused(staff, pigeon):
    assert "Select a valid choice" in text(save(staff, pigeon, **VALUES | {"speed": "lazy"}))


def test_an_emptied_optional_value_is_taken_away(staff, pigeon):
    save(staff, pigeon, **VALUES | {"list_name": "Members", "app_installed": "false"})
    save(staff, pigeon, **VALUES)

    pigeon.refresh_from_db()
    assert pigeon.settings == {}


def test_steps_tick_themselves_off(staff, pigeon):
    save(staff, pigeon, **VALUES | {"org_token": CANARY, "api_token": "second-token-1234"})

    states = [step.state for step in staff.get(url_of(pigeon)).context["steps"]]
    assert states == ["done", "missing", "missing", "missing", "later"]  # the last question is not answered yet
