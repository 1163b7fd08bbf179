"""A check in the background: begun once, done once, ended once; whatever happens meanwhile, the state stays true."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import responses
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from integrations import background, tasks
from integrations.models import Integration, Status
from integrations.signals import initialized, status_changed
from integrations.tests.conftest import CANARY, CONNECT_URL
from integrations.tests.test_admin_setup import text, url_of
from integrations.verification import recover_interrupted, set_status

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


@pytest.fixture
def heard():
    """What was announced: status changes as (before, after), and “initialized”."""
    seen = []

    def on_change(before, after, **_kwargs):
        seen.append((str(before), str(after)))

    def on_initialized(**_kwargs):
        seen.append("initialized")

    status_changed.connect(on_change)
    initialized.connect(on_initialized)
    yield seen
    status_changed.disconnect(on_change)
    initialized.disconnect(on_initialized)


def test_success_connects_and_announces_each_step_once(integration, clevertap, heard):
    clevertap.get(CONNECT_URL, json=OK)

    assert background.begin(integration)
    assert tasks.initialize(integration.pk)

    integration.refresh_from_db()
    assert (integration.status, integration.enabled, integration.check_started_at) == (Status.ACTIVE, True, None)
    assert integration.initialized_at is not None and integration.check_result["ok"] is True
    assert heard == [("draft", "initializing"), ("initializing", "active"), "initialized"]


def test_a_refusal_needs_attention(active, clevertap, heard):
    clevertap.get(CONNECT_URL, status=401, json=REFUSED)

    background.begin(active)
    tasks.initialize(active.pk)

    active.refresh_from_db()
    assert active.status == Status.ATTENTION and "refused" in active.status_reason and active.enabled
    assert heard == [("active", "initializing"), ("initializing", "attention")]


@pytest.mark.parametrize("before", [Status.DRAFT, Status.ACTIVE, Status.PAUSED, Status.ATTENTION])
def test_where_nothing_was_learned_the_state_is_what_it_was(integration, clevertap, heard, before):
    set_status(integration, before, "the reason", "the fix", enabled=True)
    changed_at = integration.status_changed_at
    heard.clear()
    clevertap.get(CONNECT_URL, body=requests.ConnectionError("no route"))

    background.begin(integration)
    tasks.initialize(integration.pk)

    integration.refresh_from_db()
    state = (integration.status, integration.status_reason, integration.status_fix, integration.status_changed_at)
    assert state == (before, "the reason", "the fix", changed_at)
    assert integration.check_result["learned"] is False
    assert heard == [(before, "initializing"), ("initializing", before)]


def test_two_clicks_make_one_check(staff, integration, clevertap, asked):
    clevertap.get(CONNECT_URL, json=OK)

    staff.post(url_of(integration, "initialize"))
    staff.post(url_of(integration, "initialize"))
    assert asked == [integration.pk]

    assert tasks.initialize(integration.pk) is True
    assert tasks.initialize(integration.pk) is False
    assert len(clevertap.calls) == 1


def test_two_who_look_at_the_same_state_begin_one_check(integration):
    other = Integration.objects.get(pk=integration.pk)

    assert background.begin(integration) is True
    assert background.begin(other) is False


def test_a_task_without_a_check_does_nothing(integration, clevertap):
    assert tasks.initialize(integration.pk) is False
    assert tasks.initialize(987654) is False
    assert len(clevertap.calls) == 0


def test_a_check_that_was_overtaken_changes_nothing(integration, clevertap, heard):
    def disconnect_meanwhile(_request):
        set_status(Integration.objects.get(pk=integration.pk), Status.PAUSED)
        return 200, {}, '{"status": "success"}'

    clevertap.add_callback(responses.GET, CONNECT_URL, disconnect_meanwhile)

    background.begin(integration)
    tasks.initialize(integration.pk)

    integration.refresh_from_db()
    assert (integration.status, integration.enabled, integration.initialized_at) == (Status.PAUSED, False, None)
    assert "initialized" not in heard


def test_our_own_fault_leaves_no_page_waiting(active, monkeypatch):
    def break_down(_provider, _account):
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(background, "examine_saved", lambda integration: break_down(None, None))

    background.begin(active)
    tasks.initialize(active.pk)

    active.refresh_from_db()
    assert active.status == Status.ACTIVE
    assert active.check_result["reason"] == "The check itself failed." and CANARY not in str(active.check_result)


def test_a_queue_that_cannot_be_reached_means_checking_in_the_request(staff, integration, clevertap, monkeypatch):
    def unreachable(*_args, **_kwargs):
        raise ConnectionError("redis is down")

    monkeypatch.setattr(background, "async_task", unreachable)
    clevertap.get(CONNECT_URL, json=OK)

    page = text(staff.post(url_of(integration, "initialize"), follow=True))

    assert "The task queue could not be reached" in page and "Connected to account K97-K78-1234" in page
    integration.refresh_from_db()
    assert integration.status == Status.ACTIVE


class TestInterrupted:
    """The worker died while it asked."""

    def interrupt(self, integration, age):
        background.begin(integration)
        Integration.objects.update(
            check_started_at=timezone.now() - age, check_result={"state": background.RUNNING, "by": None, "resumes": True}
        )

    @pytest.mark.parametrize("before", [Status.DRAFT, Status.ACTIVE, Status.PAUSED, Status.ATTENTION])
    def test_after_two_minutes_the_former_state_is_back(self, integration, heard, before):
        set_status(integration, before, "reason")
        self.interrupt(integration, timedelta(minutes=2, seconds=1))
        heard.clear()

        assert recover_interrupted(timezone.now()) == 1
        assert recover_interrupted(timezone.now()) == 0

        integration.refresh_from_db()
        assert (integration.status, integration.status_reason) == (before, "reason")
        assert integration.check_result["reason"] == "The check was interrupted."
        assert heard == [("initializing", before)]

    def test_before_that_it_is_left_alone(self, active):
        self.interrupt(active, timedelta(minutes=1, seconds=50))

        assert recover_interrupted(timezone.now()) == 0
        active.refresh_from_db()
        assert active.status == Status.INITIALIZING

    def test_what_the_dead_check_would_still_say_changes_nothing(self, active):
        self.interrupt(active, timedelta(minutes=3))
        late = Integration.objects.get(pk=active.pk)
        recover_interrupted(timezone.now())

        assert background.finish(late, None, background._unreadable_candidate()) is False
        active.refresh_from_db()
        assert active.status == Status.ACTIVE

    def test_the_button_works_again_without_a_worker_that_sweeps(self, staff, active, asked):
        self.interrupt(active, timedelta(minutes=3))

        staff.post(url_of(active, "initialize"))

        active.refresh_from_db()
        assert (active.status, asked) == (Status.INITIALIZING, [active.pk])


class TestTheProgram:
    """`initialize()` waits for the answer."""

    def test_it_ends_a_check_in_the_background(self, integration, clevertap):
        clevertap.get(CONNECT_URL, json=OK)
        background.begin(integration)

        assert integration.initialize().ok

        assert tasks.initialize(integration.pk) is False
        integration.refresh_from_db()
        assert (integration.status, integration.check_started_at) == (Status.ACTIVE, None)

    def test_an_unreachable_provider_does_not_stop_a_check_in_the_background(self, integration, clevertap):
        clevertap.get(CONNECT_URL, body=requests.ConnectionError("no route"))
        background.begin(integration)

        assert not integration.initialize().ok

        clevertap.replace(responses.GET, CONNECT_URL, json=OK)
        assert tasks.initialize(integration.pk)
        integration.refresh_from_db()
        assert integration.status == Status.ACTIVE

    def test_its_outcome_shows_on_the_page_too(self, staff, integration, clevertap):
        clevertap.get(CONNECT_URL, json=OK)
        integration.initialize()

        assert "Connected to account K97-K78-1234" in text(staff.get(url_of(integration)))


def test_the_history_names_who_asked(staff, integration, clevertap):
    clevertap.get(CONNECT_URL, status=401, json=REFUSED)
    staff.post(url_of(integration, "initialize"))
    tasks.initialize(integration.pk)

    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.get_change_message()) == ("owner-acme", "Tried to initialize; it did not work.")
