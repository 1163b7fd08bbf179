"""New values of a connected integration: they wait, encrypted, and take effect once the provider took them."""

from __future__ import annotations

import pytest
import requests
import responses
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone

from integrations import candidates, tasks
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Status
from integrations.tests.conftest import CANARY, CONNECT_URL
from integrations.tests.test_admin_setup import NEW_SECRET, logged, save, text, url_of
from integrations.verification import set_status

OK = {"status": "success"}
REFUSED = {"status": "fail", "error": "Invalid Credentials", "code": 401}


@pytest.fixture
def clevertap():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def active(integration):
    set_status(integration, Status.ACTIVE, initialized_at=timezone.now(), enabled=True)
    return integration


def change(client, integration, **values):
    """Save new values, let the worker check them, look again."""
    save(client, integration, **values)
    tasks.initialize(integration.pk)
    integration.refresh_from_db()
    return text(client.get(url_of(integration)))


def test_they_are_checked_first_and_nothing_of_them_is_readable_meanwhile(staff, active, asked):
    page = text(save(staff, active, private_api_key=NEW_SECRET, account_id="NEW-ID"))

    active.refresh_from_db()
    assert active.settings["account_id"] == "K97-K78-1234" and active.secrets == {"private_api_key": CANARY}
    assert active.enabled and asked == [active.pk]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_candidate FROM integrations_integration")
        stored = bytes(cursor.fetchone()[0])
    assert NEW_SECRET.encode() not in stored and b"NEW-ID" not in stored
    assert NEW_SECRET not in page + logged() + repr(candidates.unseal(active)) and CANARY not in page + logged()


def test_accepted_they_take_the_place_of_the_former_ones(staff, active, clevertap):
    before = active.secrets_changed_at
    clevertap.get(CONNECT_URL, json=OK)

    page = change(staff, active, private_api_key=NEW_SECRET, account_id="NEW-ID", common_property="email")

    assert clevertap.calls[0].request.headers["X-CleverTap-Passcode"] == NEW_SECRET
    assert (active.status, active.common_property, active.settings["account_id"]) == (Status.ACTIVE, "email", "NEW-ID")
    assert active.secrets == {"private_api_key": NEW_SECRET} and active.secrets_changed_at > before
    assert active.sealed_candidate is None
    assert "The new values are in use." in page and NEW_SECRET not in page


def test_new_settings_alone_leave_the_time_of_the_secrets(staff, active, clevertap):
    before = active.secrets_changed_at
    clevertap.get(CONNECT_URL, json=OK)

    change(staff, active, account_id="NEW-ID")

    assert (active.secrets, active.secrets_changed_at) == ({"private_api_key": CANARY}, before)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED])
def test_refused_they_are_forgotten_and_the_former_ones_stay_in_use(staff, active, clevertap, status):
    set_status(active, status)
    clevertap.get(CONNECT_URL, status=401, json=REFUSED)

    page = change(staff, active, private_api_key=NEW_SECRET)

    assert (active.status, active.sealed_candidate, active.secrets) == (status, None, {"private_api_key": CANARY})
    assert "The new values were refused: CleverTap refused the Account ID" in page
    assert "The previous ones stay in use." in page and "What to do:" in page
    assert NEW_SECRET not in page and CANARY not in page


class TestUnreachable:
    """The provider could not be asked: the new values wait."""

    @pytest.fixture(autouse=True)
    def waiting(self, staff, active, clevertap):
        clevertap.get(CONNECT_URL, body=requests.ConnectionError("no route"))
        self.page = change(staff, active, private_api_key=NEW_SECRET, account_id="NEW-ID")

    def test_the_page_says_so_and_offers_both_verbs(self, active):
        assert (active.status, active.settings["account_id"]) == (Status.ACTIVE, "K97-K78-1234")
        assert "CleverTap could not be reached." in self.page
        assert "The new values wait; the previous ones stay in use." in self.page
        assert "Check again" in self.page and "Discard the new values" in self.page
        assert "A new value waits for its check. Type to replace." in self.page
        assert 'value="NEW-ID"' in self.page and NEW_SECRET not in self.page

    def test_a_viewer_sees_it_without_the_verbs(self, viewer, active):
        page = text(viewer.get(url_of(active)))

        assert "The new values wait" in page and "Check again" not in page and "Discard the new values" not in page
        assert viewer.post(url_of(active, "discard")).status_code == 403

    def test_check_again_takes_them(self, staff, active, clevertap):
        clevertap.replace(responses.GET, CONNECT_URL, json=OK)

        staff.post(url_of(active, "initialize"))
        tasks.initialize(active.pk)

        active.refresh_from_db()
        assert (active.settings["account_id"], active.secrets) == ("NEW-ID", {"private_api_key": NEW_SECRET})

    def test_discard_forgets_them(self, staff, active):
        page = text(staff.post(url_of(active, "discard"), follow=True))

        active.refresh_from_db()
        assert active.sealed_candidate is None and active.settings["account_id"] == "K97-K78-1234"
        assert "The previous ones stay in use." in page and "Discarded new values." in logged()
        assert "no new values to discard" in text(staff.post(url_of(active, "discard"), follow=True))

    def test_typing_back_what_is_in_use_forgets_them_too_where_no_secret_was_new(self, staff, active, clevertap):
        staff.post(url_of(active, "discard"))
        change(staff, active, account_id="OTHER")
        assert active.sealed_candidate is not None

        save(staff, active)

        active.refresh_from_db()
        assert active.sealed_candidate is None and active.status == Status.ACTIVE

    def test_another_change_joins_them(self, staff, active):
        change(staff, active, common_property="email", account_id="NEW-ID")

        found = candidates.unseal(active)
        assert (found.common_property, found.settings["account_id"]) == ("email", "NEW-ID")
        assert found.secrets == {"private_api_key": NEW_SECRET}

    def test_a_program_checks_what_is_saved_and_leaves_them_alone(self, active, clevertap):
        clevertap.replace(responses.GET, CONNECT_URL, json=OK)

        assert active.initialize().ok

        active.refresh_from_db()
        assert clevertap.calls[-1].request.headers["X-CleverTap-Passcode"] == CANARY
        assert active.sealed_candidate is not None and active.secrets == {"private_api_key": CANARY}

    def test_those_that_no_key_reads_any_more_are_discarded_with_words(self, staff, active, clevertap, merchant):
        donor = Integration.objects.create(merchant=merchant, provider="clevertap")
        donor_text = candidates.seal(donor, candidates.unseal(active))
        Integration.objects.filter(pk=active.pk).update(sealed_candidate=donor_text)
        active.refresh_from_db()
        with pytest.raises(SecretUnreadable):
            candidates.unseal(active)
        assert staff.get(url_of(active)).status_code == 200
        calls = len(clevertap.calls)

        staff.post(url_of(active, "initialize"))
        tasks.initialize(active.pk)

        active.refresh_from_db()
        assert (active.status, active.sealed_candidate) == (Status.ACTIVE, None)
        assert "can no longer be read and were discarded" in text(staff.get(url_of(active)))
        assert len(clevertap.calls) == calls


def test_saving_while_paused_stays_paused_and_the_button_resumes(staff, active, clevertap):
    set_status(active, Status.PAUSED)
    clevertap.get(CONNECT_URL, json=OK)

    change(staff, active, account_id="NEW-ID")
    assert (active.status, active.settings["account_id"]) == (Status.PAUSED, "NEW-ID")

    change(staff, active, account_id="NEWER-ID", _initialize="1")
    assert (active.status, active.settings["account_id"]) == (Status.ACTIVE, "NEWER-ID")


def test_where_nothing_works_new_values_are_saved_at_once_and_checked(staff, active, clevertap):
    set_status(active, Status.ATTENTION, "refused")
    clevertap.get(CONNECT_URL, status=401, json=REFUSED)

    change(staff, active, private_api_key=NEW_SECRET)

    assert (active.status, active.secrets) == (Status.ATTENTION, {"private_api_key": NEW_SECRET})
    clevertap.replace(responses.GET, CONNECT_URL, json=OK)
    change(staff, active, private_api_key=CANARY)
    assert (active.status, active.secrets) == (Status.ACTIVE, {"private_api_key": CANARY})


def test_the_button_without_a_change_checks_what_is_in_use(staff, active, clevertap):
    clevertap.get(CONNECT_URL, status=401, json=REFUSED)

    change(staff, active, _initialize="1")

    assert active.status == Status.ATTENTION and not LogEntry.objects.filter(change_message__contains="fields").exists()
