"""Another account at the provider knows nothing of what was pushed to the former one; a new key of the same one does."""

from __future__ import annotations

import pytest
import responses

from events.models import Contact
from integrations import background, tasks
from integrations.accounts import mark_of
from integrations.candidates import Candidate, seal
from integrations.providers import get_provider
from integrations.secrets import Secrets
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def connected():
    integration = make.integration()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.get(make.CONNECT, json={"status": "success"})
        assert integration.initialize().ok
        Contact.objects.create(integration=integration, customer_ref="c1", pushed_hash="abc", status="synced", remote_id="c1")
        yield integration


def known() -> str:
    return Contact.objects.get().pushed_hash


def test_a_new_key_of_the_same_account_keeps_what_was_pushed(connected):
    connected.secrets = {"private_api_key": "CANARY-ANOTHER-PASSCODE"}
    connected.save()

    assert connected.initialize().ok

    assert known() == "abc"


def test_another_account_is_pushed_every_profile_anew(connected):
    connected.settings = connected.settings | {"account_id": "OTHER-000-000-001"}
    connected.save()

    assert connected.initialize().ok

    assert known() == "" and Contact.objects.get().status == "unknown"


def test_another_account_by_new_values_that_a_worker_checked(connected):
    wanted = Candidate("customer_id", connected.settings | {"account_id": "OTHER-000-000-001"}, Secrets(connected.secrets))
    assert background.begin(connected, sealed_candidate=seal(connected, wanted))
    assert known() == "abc", "until the provider has taken them the former account is used"

    assert tasks.initialize(connected.pk)

    connected.refresh_from_db()
    assert connected.settings["account_id"] == "OTHER-000-000-001" and known() == ""


@pytest.mark.parametrize("slug", ["clevertap", "moengage", "wigzo", "mailmodo", "contlo"])
def test_every_value_that_names_the_account_counts_and_no_other(slug):
    integration = make.integration(provider=slug, settings={}, secrets={})
    names = {field.name: field for field in get_provider(slug).fields}
    assert any(field.names_account for field in names.values())
    for name, field in names.items():
        integration.settings, integration.secrets = {}, {}
        before = mark_of(integration)
        if field.secret:
            integration.secrets = {name: "CANARY-VALUE"}
        else:
            integration.settings = {name: "value"}
        assert (mark_of(integration) != before) is field.names_account, name
        assert "CANARY" not in mark_of(integration)
