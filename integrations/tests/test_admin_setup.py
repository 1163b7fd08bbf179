"""The set-up page: what it shows, what it saves, and that secrets go in and never come out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from integrations.admin.setup_page import steps_of
from integrations.fields import SecretUnreadable
from integrations.forms import SetupForm
from integrations.models import Integration, Merchant, Status
from integrations.tests.conftest import CANARY
from integrations.verification import set_status

VALUES = {"common_property": "customer_id", "account_id": "K97-K78-1234", "private_api_key": "", "server_prefix": "in1"}
NEW_SECRET = "NEWCANARY-0123456789"


def url_of(integration, verb="change") -> str:
    return reverse(f"admin:integrations_integration_{verb}", args=[integration.pk])


def save(client, integration, follow=True, **values):
    return client.post(url_of(integration), VALUES | values, follow=follow)


def text(response) -> str:
    return response.content.decode()


def logged() -> str:
    return " ".join(
        f"{entry.object_repr} {entry.change_message} {entry.get_change_message()}" for entry in LogEntry.objects.all()
    )


def test_the_page_mirrors_the_guides_steps_in_order(staff, integration):
    page = text(staff.get(url_of(integration)))

    titles = [str(step.title) for step in integration.contract.guide.steps]
    places = [page.index(f'id="step-{number}-title"') for number in range(1, len(titles) + 1)]
    assert places == sorted(places)
    for piece in ("Before you start", "Where to find it", "Looks like", "If it is wrong", *titles):
        assert piece in page


def test_a_secret_is_mentioned_and_never_shown(staff, integration):
    late_evening = datetime(2026, 11, 12, 20, tzinfo=UTC)  # past midnight in Kolkata
    Integration.objects.update(secrets_changed_at=late_evening)

    page = text(staff.get(url_of(integration)))

    assert CANARY not in page
    assert "Saved 13 Nov 2026, ends in 4f2a. Type to replace." in page
    assert 'autocomplete="new-password"' in page


def test_an_empty_secret_box_keeps_what_is_saved(staff, integration):
    save(staff, integration, account_id="NEW-ID")

    integration.refresh_from_db()
    assert integration.settings["account_id"] == "NEW-ID"
    assert integration.secrets == {"private_api_key": CANARY}


def test_a_typed_secret_replaces_the_saved_one_and_leaks_nowhere(staff, integration):
    page = text(save(staff, integration, private_api_key=f"  {NEW_SECRET} "))

    integration.refresh_from_db()
    assert integration.secrets == {"private_api_key": NEW_SECRET}
    assert NEW_SECRET not in page + logged()
    assert CANARY not in page + logged()
    assert "Private API Key" in logged()


@pytest.mark.parametrize("secret", [NEW_SECRET, "NEW CANARY 0123456789"])
def test_a_secret_is_not_shown_again_after_an_error(staff, integration, secret):
    page = text(save(staff, integration, private_api_key=secret, server_prefix="mars"))

    assert secret not in page + logged()
    assert "Nothing was saved yet" in page
    integration.refresh_from_db()
    assert integration.secrets == {"private_api_key": CANARY}


def test_a_provider_that_repeats_the_secret_in_its_complaint_is_muted(staff, integration, monkeypatch):
    def complain(name, value):
        raise ValueError(f"I do not like {value}")

    monkeypatch.setattr(type(integration.contract), "clean", staticmethod(complain))

    page = text(save(staff, integration, private_api_key=NEW_SECRET))

    assert "I do not like ••••" in page
    assert NEW_SECRET not in page


def test_spaces_inside_a_key_are_refused_kindly(staff, integration):
    page = text(save(staff, integration, private_api_key="AAA AAA AAAA"))

    assert "There is a space inside. Copy the value again" in page


@pytest.mark.parametrize(
    "typed", ["in1", " IN1 ", "https://in1.dashboard.clevertap.com/K97/dashboard", "in1.dashboard.clevertap.com"]
)
def test_a_pasted_dashboard_address_gives_the_prefix(staff, integration, typed):
    integration.settings = {}
    integration.save()

    save(staff, integration, server_prefix=typed)

    integration.refresh_from_db()
    assert integration.settings["server_prefix"] == "in1"


def test_a_draft_may_be_saved_half_filled(staff, merchant):
    draft = Integration.objects.create(merchant=merchant, provider="clevertap")

    page = text(save(staff, draft, server_prefix=""))

    draft.refresh_from_db()
    assert draft.settings == {"account_id": "K97-K78-1234"}
    assert "When all values are in, click Initialize." in page


def test_once_connected_a_required_value_cannot_be_emptied(staff, integration):
    set_status(integration, Status.ACTIVE, initialized_at=timezone.now())

    page = text(save(staff, integration, account_id=""))

    assert "This is needed to connect." in page
    integration.refresh_from_db()
    assert integration.settings["account_id"] == "K97-K78-1234"


def test_saving_an_active_integration_keeps_what_is_in_use_until_the_new_values_are_checked(staff, integration, asked):
    set_status(integration, Status.ACTIVE, initialized_at=timezone.now())
    rung_at = timezone.now()
    Integration.objects.update(bell_rung_at=rung_at, hold_count=3)

    save(staff, integration, common_property="email")

    integration.refresh_from_db()
    assert (integration.common_property, asked) == ("customer_id", [integration.pk])
    assert (integration.status, integration.status_before) == (Status.INITIALIZING, Status.ACTIVE)
    assert (integration.bell_rung_at, integration.hold_count) == (rung_at, 3)


def test_only_changed_columns_are_written(integration, django_assert_num_queries):
    form = SetupForm(VALUES | {"account_id": "NEW-ID"}, integration=integration)
    assert form.is_valid()
    with django_assert_num_queries(1) as queries:
        form.save()

    sql, _where, _condition = queries.captured_queries[0]["sql"].partition(" WHERE ")
    assert '"settings"' in sql
    assert '"status"' not in sql
    assert '"secrets"' not in sql


def test_settings_that_no_field_declares_survive(staff, integration):
    integration.settings |= {"egress_ip": "203.0.113.9"}
    integration.save()

    save(staff, integration, account_id="NEW-ID")

    integration.refresh_from_db()
    assert integration.settings["egress_ip"] == "203.0.113.9"


def test_nothing_changed_logs_nothing(staff, integration):
    page = text(save(staff, integration))

    assert "Nothing was changed." in page
    assert not LogEntry.objects.exists()


def test_an_unknown_common_property_is_refused(staff, integration):
    save(staff, integration, common_property="shoe_size")

    integration.refresh_from_db()
    assert integration.common_property == "customer_id"


class TestUnreadableSecrets:
    """The key that encrypted them is gone, or the ciphertext is another row's."""

    @pytest.fixture
    def unreadable(self, integration, merchant):
        donor = Integration(merchant=merchant, provider="clevertap")
        donor.secrets = {"private_api_key": "DONOR-CANARY-999"}
        donor.save()
        stolen = Integration.objects.get(pk=donor.pk).sealed_secrets
        Integration.objects.filter(pk=integration.pk).update(sealed_secrets=stolen)
        donor.delete()
        integration.refresh_from_db()
        with pytest.raises(SecretUnreadable):
            integration.secrets  # noqa: B018
        return integration

    def test_the_page_says_so_and_stays_whole(self, staff, unreadable):
        page = text(staff.get(url_of(unreadable)))

        assert "The saved value can no longer be read. Enter it again, please." in page
        assert "DONOR" not in page

    def test_other_values_can_be_saved(self, staff, unreadable):
        save(staff, unreadable, account_id="NEW-ID")

        unreadable.refresh_from_db()
        assert unreadable.settings["account_id"] == "NEW-ID"

    def test_entering_them_again_repairs_it(self, staff, unreadable):
        save(staff, unreadable, private_api_key=NEW_SECRET)

        unreadable.refresh_from_db()
        assert unreadable.secrets == {"private_api_key": NEW_SECRET}


def test_a_provider_that_is_no_longer_installed_has_no_page(staff, integration):
    Integration.objects.update(provider="pigeon")

    assert staff.get(url_of(integration)).status_code == 404


def test_a_foreign_key_file_never_breaks_the_page(staff, integration, settings):
    field = Integration._meta.get_field("sealed_secrets")
    for name in ("keys", "fernet_keys", "fernet"):
        field.__dict__.pop(name, None)
    settings.FERNET_KEYS = [Fernet.generate_key().decode()]
    try:
        assert "can no longer be read" in text(staff.get(url_of(integration)))
    finally:
        for name in ("keys", "fernet_keys", "fernet"):
            field.__dict__.pop(name, None)


def test_an_unanswered_optional_question_has_no_tick_and_one_step_is_the_next(db):
    merchant = Merchant.objects.create(name="Ticks", slug="ticks", website="https://ticks.example")
    row = Integration(merchant=merchant, provider="contlo", initialized_at=timezone.now(), status=Status.ACTIVE)
    assert [step.state for step in steps_of(row, SetupForm(integration=row))][3:] == ["missing", "next", "then", "then"]
    row.settings = {"app_installed": "yes"}
    assert steps_of(row, SetupForm(integration=row))[3].state == "done"
