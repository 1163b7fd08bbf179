"""What staff do with the outbox is in the audit trail, and goes when its time is over."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from events import bulk, retention
from events.bulk_filter import DeliveryFilter
from events.models import What
from events.states import State
from events.tests.conftest import deliver, login
from integrations.models import Act, AuditEntry

YES = {"_form_submitted": "on"}  # in a dialog
QUIET = (Act.LOGIN, Act.STAFF_ADDED)


def noted() -> list[tuple[str, dict[str, object]]]:
    """Return acts and details, in order."""
    return list(AuditEntry.objects.exclude(act__in=QUIET).order_by("id").values_list("act", "details"))


def url(name: str, *args: object) -> str:
    return reverse(f"admin:events_{name}", args=args)


def test_retry_replay_and_cancel_of_one(owner, definition):
    failed, waiting = deliver(definition, status=State.FAILED), deliver(definition)

    owner.post(url("eventdelivery_replay", failed.pk), {"token": str(uuid4())})
    owner.post(url("eventdelivery_retry", failed.pk), YES)
    owner.post(url("eventdelivery_cancel", waiting.pk), YES)

    assert [act for act, _details in noted()] == [Act.REPLAY, Act.RETRY, Act.CANCEL]
    assert AuditEntry.objects.get(act=Act.CANCEL).subject_key == str(waiting.pk)
    assert "Asha" not in str(list(AuditEntry.objects.values()))


def test_what_is_ticked_and_what_matches(owner, definition):
    rows = [deliver(definition, status=State.FAILED) for _number in range(3)]
    ticked = {"action": "cancel_selected", "confirmed": "1", "_selected_action": [row.pk for row in rows[:2]]}

    owner.post(url("eventdelivery_changelist"), ticked)
    owner.post(url("eventdelivery_all", "retry") + "?status__exact=failed", {"token": str(uuid4())})

    assert noted() == [(Act.CANCEL, {"number": 2}), (Act.RETRY, {"number": 3})]
    assert {row.actor_name for row in AuditEntry.objects.exclude(act__in=QUIET)} == {"owner"}


def test_a_run_that_is_begun_by_code_has_its_user(owner, definition):
    deliver(definition, status=State.FAILED)
    merchant = definition.integration.merchant
    bulk.start(What.RETRY, DeliveryFilter(), merchant, merchant.staff.get(), uuid4())
    bulk.start(What.RETRY, DeliveryFilter(), merchant, merchant.staff.get(), uuid4())  # the same thing, which runs

    assert [(row.actor_name, row.merchant) for row in AuditEntry.objects.filter(act=Act.RETRY)] == [("owner", merchant)]


def test_files_that_are_taken_along(owner, viewer, definition):
    viewer.get(url("eventdelivery_export"))
    owner.get(url("eventdefinition_statistics", definition.pk) + "?format=csv")
    owner.get(url("eventdefinition_worth_file", definition.pk))

    assert noted() == [
        (Act.EXPORT, {"what": "deliveries"}),
        (Act.EXPORT, {"what": "statistics"}),
        (Act.EXPORT, {"what": "worth"}),
    ]
    assert {row.merchant for row in AuditEntry.objects.filter(act=Act.EXPORT)} == {definition.integration.merchant}


def test_events_are_switched_and_callbacks_secured(owner, definition):
    integration = definition.integration
    owner.post(url("eventdefinition_turn_off", definition.pk), YES)
    owner.post(url("coming_back", integration.pk), {"verb": "auth", "auth": "CANARY-CALLBACK-AUTH"})
    owner.post(url("coming_back", integration.pk), {"verb": "address"})

    assert [act for act, _details in noted()] == [Act.CHANGED, Act.SECRET, Act.SECRET]
    stored = str(list(AuditEntry.objects.values()))
    integration.refresh_from_db()
    assert "CANARY" not in stored
    assert integration.callback_token not in stored


def test_nothing_is_noted_of_what_is_refused(viewer, stranger, definition):
    row = deliver(definition, status=State.FAILED)
    for client in (viewer, stranger):
        client.post(url("eventdelivery_retry", row.pk), YES)
        client.post(url("eventdefinition_turn_off", definition.pk), YES)

    assert noted() == []


@pytest.mark.parametrize(("days", "left"), [(100, 3), (10, 2), (0, 4)])  # never younger than 30 days; 0: for ever
def test_it_goes_when_its_time_is_over(db, settings, days, left):
    settings.RETENTION_AUDIT_DAYS = days
    for age in (1, 20, 50, 300):
        AuditEntry.objects.create(act=Act.PAUSE, at=timezone.now() - timedelta(days=age))

    assert retention.preview().get("audit trail", 0) == 4 - left
    done = dict(retention.batches())

    assert AuditEntry.objects.count() == left
    assert done.get("audit trail", 0) == 4 - left


def test_the_page_tells_it_on_the_merchants_clock_and_in_words(owner, definition):
    row = deliver(definition, status=State.FAILED)
    owner.post(url("eventdelivery_retry", row.pk), YES)

    page = owner.get(reverse("admin:integrations_auditentry_changelist")).content.decode()

    for words in ("owner", "Retry", f"delivery {row.pk}", "result: queued", "IST", "127.0.0.1"):
        assert words in page


def test_staff_of_two_merchants_see_both_and_others_neither(integration, definition):
    reader = login("reader", integration.merchant)
    AuditEntry.objects.create(act=Act.PAUSE, subject="nobody's")

    page = reader.get(reverse("admin:integrations_auditentry_changelist")).content.decode()

    assert "nobody&#x27;s" not in page
    assert "reader · Acme" in page
