"""People are told once that an integration needs attention, and once that it sends again. Mail goes to Django's outbox."""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime, timedelta

import pytest
import responses
import time_machine
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from events import notices, record
from events.drain import drain
from events.models import EventDelivery
from events.sweep import sweep
from events.tasks import tell
from integrations.models import Integration, Membership, Notice, Status
from integrations.verification import set_status
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)


class Grumpy(EmailBackend):
    """Refuses whoever is in `REFUSED`; is away while `AWAY` is set."""

    REFUSED: set[str] = set()
    AWAY = False

    def open(self):
        if Grumpy.AWAY:
            raise ConnectionRefusedError("nobody listens")

    def send_messages(self, messages):
        if set(messages[0].to) & Grumpy.REFUSED:
            raise smtplib.SMTPRecipientsRefused({})
        return super().send_messages(messages)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def integration(clock):
    merchant = make.merchant(timezone="Asia/Kolkata")
    for name, role in (("asha", "owner"), ("ravi", "manager"), ("vera", "viewer")):
        user = get_user_model().objects.create_user(name, f"{name}@example.com", is_staff=True)
        Membership.objects.create(merchant=merchant, user=user, role=role)
    return make.definition(make.integration(merchant)).integration


def trouble(integration, reason="The key is wrong.", fix="Enter it again."):
    integration.refresh_from_db()
    set_status(integration, Status.ATTENTION, reason, fix)


def recover(integration):
    integration.refresh_from_db()
    set_status(integration, Status.ACTIVE)


def pass_on(told) -> int:
    """Sweep, and run the tasks that were asked for. Returns how many there were."""
    told.clear()
    sweep()
    asked = list(told)
    for notice_id, tries in asked:
        tell(notice_id, tries)
    return len(asked)


def to() -> list[str]:
    return sorted(address for message in mail.outbox for address in message.to)


def test_owners_and_managers_are_told_once_in_plain_words(integration, told, settings):
    settings.PUBLIC_URL = "https://bridge.example.com"
    for number in range(3):
        record(make.activity(integration.merchant, person=f"c{number}"))
    trouble(integration)
    for _ in range(5):
        pass_on(told)
    assert to() == ["asha@example.com", "ravi@example.com"]
    message = mail.outbox[0]
    assert message.subject == "CleverTap needs attention: Acme"
    for words in (
        "What happened: The key is wrong.",
        "What to do: Enter it again.",
        "Waiting: 3 events",
        "1 Mar 2026, 15:30 IST",
        f"https://bridge.example.com/admin/integrations/integration/{integration.pk}/change/",
        "oldest first",
    ):
        assert words in message.body
    assert message.extra_headers == {"Auto-Submitted": "auto-generated"} and len(message.to) == 1


def test_a_401_that_the_check_confirms_is_told(integration, told):
    record(make.activity(integration.merchant))
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json={"code": 401}, status=401)
        provider.add(responses.GET, make.CONNECT, json={"status": "fail", "error": "Invalid Credentials"}, status=401)
        drain(integration.pk)
    assert mail.outbox == []  # not in the drain
    pass_on(told)
    assert len(mail.outbox) == 2 and "Waiting: 1 event " in mail.outbox[0].body


def test_recovery_is_told_once_to_those_who_were_told(integration, told, clock):
    trouble(integration)
    pass_on(told)
    user = get_user_model().objects.create_user("new", "new@example.com", is_staff=True)
    Membership.objects.create(merchant=integration.merchant, user=user, role="owner")
    mail.outbox.clear()
    clock.shift(timedelta(hours=2, minutes=10))
    recover(integration)
    for _ in range(5):
        pass_on(told)
    assert to() == ["asha@example.com", "ravi@example.com"]
    assert mail.outbox[0].subject == "CleverTap takes events again: Acme" and "2 h 10 min" in mail.outbox[0].body
    assert Notice.objects.get().closed_at is not None


def test_a_state_that_flaps_is_told_once(integration, told, clock):
    trouble(integration)
    pass_on(told)
    for _ in range(5):
        clock.shift(timedelta(seconds=20))
        recover(integration)
        clock.shift(timedelta(seconds=20))
        trouble(integration)
        pass_on(told)
    assert len(mail.outbox) == 2 and Notice.objects.count() == 1
    recover(integration)
    pass_on(told)
    assert len(mail.outbox) == 4


def test_one_that_flaps_slowly_is_quiet_and_told_once_the_trouble_lasts(integration, told, clock):
    trouble(integration)
    pass_on(told)
    for _ in range(4):
        for change in (recover, trouble):
            clock.shift(timedelta(seconds=60))
            change(integration)
            pass_on(told)
    subjects = [message.subject.split(":")[0] for message in mail.outbox[::2]]
    assert subjects == ["CleverTap needs attention", "CleverTap takes events again"]
    clock.shift(notices.QUIET)
    pass_on(told)
    assert [message.subject.split(":")[0] for message in mail.outbox[::2]][2:] == ["CleverTap needs attention"]


def test_a_new_trouble_later_is_told_at_once(integration, told, clock):
    for _ in range(2):
        trouble(integration)
        pass_on(told)
        recover(integration)
        pass_on(told)
        clock.shift(timedelta(hours=1))
    assert len(mail.outbox) == 8


def test_two_workers_and_doubled_tasks_tell_once(integration, told):
    trouble(integration)
    notices.look(timezone.now())
    notices.look(timezone.now())
    assert len(told) == 1
    for _ in range(3):
        tell(*told[0])
    assert len(mail.outbox) == 2


def test_a_lost_task_is_asked_for_again(integration, told, clock):
    trouble(integration)
    sweep()
    told.clear()  # its worker was killed before it began
    assert pass_on(told) == 0
    clock.shift(timedelta(seconds=61))
    assert pass_on(told) == 1 and len(mail.outbox) == 2


def test_tasks_that_never_come_back_are_not_asked_for_without_end(integration, told, clock):
    trouble(integration)
    asked = 0
    for _ in range(30):
        sweep()
        for notice_id, tries in told:
            asked += 1
            Notice.objects.filter(pk=notice_id, tries=tries).update(tries=tries + 1)  # killed right after it began
        told.clear()
        clock.shift(timedelta(hours=3))
    assert asked == len(notices.STEPS) + 1


@pytest.fixture
def grumpy(settings):
    settings.EMAIL_BACKEND = f"{__name__}.Grumpy"
    Grumpy.REFUSED, Grumpy.AWAY = set(), False
    yield Grumpy
    Grumpy.REFUSED, Grumpy.AWAY = set(), False


def test_a_mail_server_that_is_away_stops_nothing_and_is_tried_a_few_times(integration, told, clock, grumpy):
    grumpy.AWAY = True
    trouble(integration)
    tries = 0
    for _ in range(40):
        tries += pass_on(told)
        clock.shift(timedelta(hours=1))
    assert tries == len(notices.STEPS) + 1 and mail.outbox == []
    recover(integration)
    (row,) = record(make.activity(integration.merchant))
    pass_on(told)
    assert row.status == "queued" and mail.outbox == [] and Notice.objects.get().closed_at is not None


def test_who_was_reached_is_not_written_to_again_while_others_are_tried(integration, told, clock, grumpy):
    grumpy.REFUSED = {"asha@example.com"}
    trouble(integration)
    pass_on(told)
    assert to() == ["ravi@example.com"]
    grumpy.REFUSED = set()
    for _ in range(3):
        clock.shift(timedelta(minutes=10))
        pass_on(told)
    assert to() == ["asha@example.com", "ravi@example.com"]


def test_without_a_mail_server_nothing_is_asked_and_it_is_told_once_there_is_one(integration, told, settings):
    backend, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, notices.DUMMY
    trouble(integration)
    assert pass_on(told) == 0 and Notice.objects.get().tries == 0
    settings.EMAIL_BACKEND = backend
    assert pass_on(told) == 1 and len(mail.outbox) == 2


def test_nobody_with_an_address_is_no_reason_to_go_on_trying(integration, told, clock):
    get_user_model().objects.update(email="")
    trouble(integration)
    assert pass_on(told) == 1
    clock.shift(timedelta(days=1))
    assert pass_on(told) == 0 and mail.outbox == []


def test_what_a_person_disconnected_is_no_recovery(integration, told):
    trouble(integration)
    pass_on(told)
    mail.outbox.clear()
    integration.refresh_from_db()
    set_status(integration, Status.DRAFT)
    pass_on(told)
    assert mail.outbox == [] and Notice.objects.get().closed_at is not None


def test_a_pause_is_no_recovery_and_the_end_of_it_is(integration, told):
    trouble(integration)
    pass_on(told)
    mail.outbox.clear()
    integration.refresh_from_db()
    set_status(integration, Status.PAUSED)
    assert pass_on(told) == 0 and mail.outbox == []
    recover(integration)
    pass_on(told)
    assert len(mail.outbox) == 2 and mail.outbox[0].subject.startswith("CleverTap takes events again")


def test_a_wrong_key_typed_while_connecting_for_the_first_time_is_not_mailed(integration, told):
    Integration.objects.update(enabled=False)
    trouble(integration)
    assert pass_on(told) == 0 and not Notice.objects.exists()


def test_a_check_under_way_is_neither_trouble_nor_recovery(integration, told):
    trouble(integration)
    pass_on(told)
    mail.outbox.clear()
    Integration.objects.update(status=Status.INITIALIZING, check_started_at=NOW)
    assert pass_on(told) == 0
    assert Notice.objects.get().closed_at is None


def test_a_line_break_in_a_name_makes_no_header(integration, told):
    integration.merchant.name = "Acme\nBcc: all@example.com"
    integration.merchant.save()
    trouble(integration)
    pass_on(told)
    assert mail.outbox[0].subject == "CleverTap needs attention: Acme Bcc: all@example.com"


def test_after_initialize_the_queue_flows_on_its_own_oldest_first(integration, told, rung):
    trouble(integration)
    waiting = [record(make.activity(integration.merchant, person=f"c{number}"))[0] for number in range(5)]
    assert {row.status for row in waiting} == {"held"}
    rung.clear()
    with responses.RequestsMock() as provider:
        provider.add(responses.GET, make.CONNECT, json={"status": "success"})
        provider.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 5, "unprocessed": []})
        integration.refresh_from_db()
        assert integration.initialize().ok
        sweep()
        assert integration.pk in rung
        drain(integration.pk)
        body = provider.calls[-1].request.body.decode()
    places = [body.index(f'"nector_delivery_id":"{row.pk}"') for row in waiting]
    assert places == sorted(places)
    assert set(EventDelivery.objects.values_list("status", flat=True)) == {"sent"}
