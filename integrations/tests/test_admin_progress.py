"""What the page shows while a check is under way, and what it keeps showing afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import responses
from django.utils import timezone

from integrations import background, tasks
from integrations.models import Integration, Status
from integrations.tests.conftest import CANARY, CONNECT_URL
from integrations.tests.test_admin_setup import NEW_SECRET, save, text, url_of
from integrations.verification import set_status


@pytest.fixture
def clevertap():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def checking(integration):
    background.begin(integration)
    return integration


def progress(client, integration):
    return client.get(url_of(integration, "progress")).json()


def started(seconds):
    Integration.objects.update(check_started_at=timezone.now() - timedelta(seconds=seconds, milliseconds=100))


def test_the_page_shows_progress_works_without_a_script_and_offers_nothing_to_change(staff, checking):
    page = text(staff.get(url_of(checking)))

    assert "<progress" in page and "Starting the check" in page
    assert f'data-progress="{url_of(checking, "progress")}"' in page
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page
    for button in ('name="_save"', 'name="_initialize"', "Yes, disconnect", '<input type="password"'):
        assert button not in page
    assert CANARY not in page


def test_the_words_follow_the_check(staff, checking, clevertap):
    started(3)
    assert progress(staff, checking) == {
        "done": False,
        "late": False,
        "words": "Starting the check …",
        "elapsed": "3 seconds",
    }

    Integration.objects.update(check_result={"state": background.RUNNING})
    assert progress(staff, checking)["words"] == "Asking CleverTap …"

    set_status(checking, Status.ACTIVE)
    assert progress(staff, checking)["done"] is True


def test_watching_changes_nothing_and_is_for_this_merchants_staff(staff, stranger, viewer, client, checking):
    before = Integration.objects.values().get()

    assert staff.get(url_of(checking, "progress")).status_code == 200
    assert viewer.get(url_of(checking, "progress")).status_code == 200
    assert stranger.get(url_of(checking, "progress")).status_code == 404
    assert "/login/" in client.get(url_of(checking, "progress")).url

    after = Integration.objects.values().get()
    assert {**before, "sealed_secrets": ""} == {**after, "sealed_secrets": ""}


def test_without_a_worker_the_page_says_so_and_the_check_can_be_made_right_here(staff, checking, clevertap):
    clevertap.get(CONNECT_URL, json={"status": "success"})
    started(9)
    assert progress(staff, checking)["late"] is False
    started(11)

    assert progress(staff, checking)["late"] is True
    page = text(staff.get(url_of(checking)))
    assert "No worker has taken this up" in page and "manage.py worker" in page and "Check without a worker" in page

    staff.post(url_of(checking, "initialize"))
    checking.refresh_from_db()
    assert checking.status == Status.ACTIVE
    assert tasks.initialize(checking.pk) is False


def test_what_is_posted_meanwhile_is_not_saved(staff, checking):
    page = text(save(staff, checking, account_id="LATE-ID", private_api_key=NEW_SECRET))

    assert "A check is under way" in page and NEW_SECRET not in page
    checking.refresh_from_db()
    assert checking.settings["account_id"] == "K97-K78-1234"


def test_success_stays_on_the_page_with_its_time_until_the_next_change(staff, checking, clevertap):
    clevertap.get(CONNECT_URL, json={"status": "success"})
    tasks.initialize(checking.pk)

    for _look in range(2):
        page = text(staff.get(url_of(checking)))
        assert 'role="status" data-outcome' in page
        assert "Connected to account K97-K78-1234 (region IN1)." in page and "Checked " in page

    staff.post(url_of(checking, "pause"))
    staff.post(url_of(checking, "resume"))
    page = text(staff.get(url_of(checking)))
    assert "CleverTap is connected" in page and "Checked " not in page


def test_a_network_that_is_down_is_not_a_wrong_key(staff, checking, clevertap):
    clevertap.get(CONNECT_URL, body=requests.ConnectionError("no route"))
    tasks.initialize(checking.pk)

    page = text(staff.get(url_of(checking)))
    assert 'role="alert" data-outcome' in page and "cloud_off" in page
    assert "CleverTap could not be reached." in page and "Everything stays as it was." in page
    assert "Nothing was learned about the keys." in page and "refused" not in page
    checking.refresh_from_db()
    assert checking.status == Status.DRAFT


def test_a_refusal_stays_with_reason_fix_and_time(staff, checking, clevertap):
    clevertap.get(CONNECT_URL, status=401, json={"status": "fail", "error": "Invalid Credentials", "code": 401})
    tasks.initialize(checking.pk)

    page = text(staff.get(url_of(checking)))
    assert "CleverTap refused" in page and "What to do:" in page and "Checked " in page
