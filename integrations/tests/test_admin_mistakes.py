"""Mistakes are caught early and kindly: what is certain is refused at its box, what only looks wrong is a hint."""

from __future__ import annotations

import pytest

from integrations import providers
from integrations.models import Integration
from integrations.providers.clevertap import PROVIDER as CLEVERTAP
from integrations.providers.moengage import PROVIDER as MOENGAGE
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_setup import save, text, url_of
from integrations.tests.test_admin_setup_generic import VALUES as PIGEON_VALUES
from integrations.tests.test_admin_setup_generic import Pigeon

WORKSPACE = "VJ0GSMESHMQA3L7WV1EEK3UR"


def test_the_account_id_in_the_passcodes_place_is_refused_at_its_box(staff, integration):
    page = text(save(staff, integration, private_api_key="k97-k78-1234"))

    assert "This is the same value as in Account ID." in page and "k97-k78-1234" not in page
    integration.refresh_from_db()
    assert integration.secrets == {"private_api_key": CANARY}


def test_the_saved_passcode_in_the_account_ids_place_is_refused_and_not_shown(staff, integration):
    page = text(save(staff, integration, account_id=CANARY))

    assert "This is the same value as in Account ID." in page and CANARY not in page
    integration.refresh_from_db()
    assert integration.settings["account_id"] == "K97-K78-1234"


@pytest.mark.parametrize(
    ("account_id", "passcode", "doubted"),
    [
        ("K97-K78-1234", "AAA-AAA-AAAA", []),  # passcodes are seen in the shape of ids: nothing can be said
        ("TEST-000-000-000", "CANARY-PASSCODE-42", []),
        ("K97-K78-1234", "TEST-K97-K78-1234", ["private_api_key"]),
        ("some-passcode", "K97-K78-1234", ["account_id"]),
        ("some-passcode", "TEST-000-000-000", ["private_api_key", "account_id"]),
        ("", "K97-K78-1234", []),
    ],
)
def test_values_that_look_exchanged_are_only_a_hint(account_id, passcode, doubted):
    values = {"account_id": account_id, "private_api_key": passcode}

    assert list(CLEVERTAP.doubts(values)) == doubted
    assert CLEVERTAP.check_together(values) == {}


def test_a_hint_stands_at_the_box_and_keeps_nobody_from_saving(staff, integration):
    page = text(save(staff, integration, private_api_key="TEST-K97-K78-1234"))

    integration.refresh_from_db()
    assert integration.secrets == {"private_api_key": "TEST-K97-K78-1234"}
    assert "Please look again:" in page and "looks like a Project ID" in page
    assert "TEST-K97-K78-1234" not in page


def test_moengages_workspace_id_is_not_its_data_key():
    both = {"workspace_id": WORKSPACE, "data_api_key": WORKSPACE.lower()}

    assert "same value as the Workspace ID" in str(MOENGAGE.check_together(both)["data_api_key"])
    assert "looks like a Workspace ID" in str(MOENGAGE.doubts({"data_api_key": WORKSPACE})["data_api_key"])
    assert MOENGAGE.doubts({"workspace_id": WORKSPACE, "data_api_key": "k3y-With_small=letters"}) == {}
    assert MOENGAGE.check_together({"workspace_id": WORKSPACE}) == {}


@pytest.mark.parametrize("around", ["  {} ", "\t{}\n", "\u00a0{}\u00a0", "\u200b{}\ufeff"])
def test_blanks_around_a_key_are_taken_away_also_those_that_nobody_sees(staff, integration, around):
    save(staff, integration, private_api_key=around.format("NEWCANARY-0123456789"), account_id=around.format("NEW-ID"))

    integration.refresh_from_db()
    assert integration.secrets == {"private_api_key": "NEWCANARY-0123456789"}
    assert integration.settings["account_id"] == "NEW-ID"


@pytest.fixture
def pigeon(merchant):
    class Strict(Pigeon):
        fields = tuple(field if field.name != "list_name" else LIST_NAME for field in Pigeon.fields)

    providers.register(Strict())
    yield Integration.objects.create(merchant=merchant, provider="pigeon", common_property="email")
    providers.unregister("pigeon")


LIST_NAME = providers.base.Field("list_name", "List Name", "Any clear name.")


def test_a_list_name_of_spaces_is_refused_even_in_a_draft(staff, pigeon):
    page = text(save(staff, pigeon, **PIGEON_VALUES | {"list_name": "   "}))

    assert "There are only spaces here." in page
    pigeon.refresh_from_db()
    assert pigeon.settings == {}


def test_an_empty_list_name_may_wait_until_initialize(staff, pigeon):
    page = text(save(staff, pigeon, **PIGEON_VALUES | {"speed": "slow"}))
    assert "only spaces" not in page

    assert "This is needed to connect." in text(save(staff, pigeon, **PIGEON_VALUES | {"_initialize": "1"}))
    assert staff.get(url_of(pigeon)).status_code == 200
