"""Checking an integration's credentials, and the changes of state that follow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations import http
from integrations.accounts import note_account
from integrations.audit import Act, note
from integrations.fields import SecretUnreadable
from integrations.kept_words import kept
from integrations.models import UNHELD, InitializeResult, Integration, Status
from integrations.probe import for_check
from integrations.providers.base import Account, Fault, Provider, Verification
from integrations.signals import initialized, status_changed

SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - a reason code
STATE_FIELDS = ["status", "status_reason", "status_fix", "status_changed_at", *UNHELD]
CHECK_FIELDS = ["check_started_at", "status_before", "check_result"]
LONGEST_CHECK = timedelta(minutes=2)  # a check that takes longer was interrupted: its worker died


def verify(provider: Provider, account: Account) -> Verification:
    """Walk through the provider's credential check. No transaction may be open: this talks to the network."""
    steps = provider.verify_steps(account)
    try:
        request = next(steps)
        while True:
            answer = http.send(request, settings.DELIVERY_HTTP_TIMEOUT_SECONDS, account.secrets.values())
            if isinstance(answer, Fault) and answer.kind == http.UNSENDABLE:
                return Verification(False, answer.message, _("Enter the credentials again, save, and initialize."))
            request = steps.send(answer)
    except StopIteration as end:
        result: Verification = end.value
        return result


@kept()
def initialize(integration: Integration) -> InitializeResult:
    """Check the saved values, save the outcome, announce success. The network being down keeps the former status."""
    checked = examine_saved(integration)
    result = check_result(checked)
    if checked.ok:
        with transaction.atomic():
            set_status(integration, Status.ACTIVE, initialized_at=timezone.now(), enabled=True, check_result=result)
            note_account(integration)
        initialized.send(Integration, integration=integration)
    elif checked.reachable:
        set_status(integration, Status.ATTENTION, checked.reason, checked.fix, check_result=result)
    else:  # nothing was learned: what was known before stays
        integration.check_result = result
        Integration.objects.filter(pk=integration.pk).exclude(status=Status.INITIALIZING).update(check_result=result)
    note(Act.INITIALIZE, integration, result="accepted" if checked.ok else "refused")
    return InitializeResult(checked.ok, checked.reason, checked.fix, checked.detail)


def examine_saved(integration: Integration) -> Verification:
    """Check the saved values: are they all there, can they be read, does the provider take them? Nothing is saved."""
    try:
        account = integration.account()
    except SecretUnreadable:
        account = Account(integration.settings or {}, {}, integration.common_property)
        missing = missing_of(integration.contract, account, secrets_too=False)
        return incomplete(missing) if missing else unreadable()
    return examine(integration.contract, for_check(integration, account))


def examine(provider: Provider, account: Account) -> Verification:
    """Check values at the provider; while one is missing it is not asked."""
    missing = missing_of(provider, account)
    return incomplete(missing) if missing else verify(provider, account)


def missing_of(provider: Provider, account: Account, secrets_too: bool = True) -> list[str]:
    """Return the labels of required fields that have no value."""
    values = {**account.settings, **account.secrets}
    asked = [field for field in provider.fields if field.required and (secrets_too or not field.secret)]
    return [str(field.label) for field in asked if not str(values.get(field.name) or "").strip()]


def incomplete(missing: list[str]) -> Verification:
    """Return the verdict on values of which some are missing."""
    reason = _("%(fields)s missing.") % {"fields": ", ".join(missing)}
    return Verification(False, reason, _("Fill in what is missing, save, and initialize again."))


def unreadable() -> Verification:
    """Return the verdict on credentials that no key reads."""
    return Verification(
        False,
        _("The stored credentials cannot be read (%(code)s).") % {"code": SECRET_UNREADABLE},
        _("Put the former key back into FERNET_KEYS, or enter the credentials again."),
    )


def check_result(checked: Verification, **more: Any) -> dict[str, Any]:
    """Return what the set-up page shows of a check. `learned`: the provider did answer about the values."""
    return {
        "ok": checked.ok,
        "reason": str(checked.reason),
        "fix": str(checked.fix),
        "detail": str(checked.detail),
        "learned": checked.reachable,
        "at": timezone.now().isoformat(),
        **more,
    }


def set_status(integration: Integration, status: str, reason: str = "", fix: str = "", **values: object) -> None:
    """Save a change of state and announce it. Other columns are left as they are in the database.

    A check that is under way ends with it: what comes of it changes nothing any more.
    """
    before = integration.status
    integration.status, integration.status_reason, integration.status_fix = status, reason, fix
    integration.status_changed_at = timezone.now()
    integration.check_started_at, integration.status_before, integration.check_result = None, "", {}
    for name, value in {**UNHELD, **values}.items():
        setattr(integration, name, value)
    integration.save(update_fields=sorted({*STATE_FIELDS, *CHECK_FIELDS, *values}))
    if before != status:
        status_changed.send(Integration, integration=integration, before=before, after=status)


def end_check(integration: Integration, status: str, result: dict[str, Any], **columns: Any) -> bool:
    """End this very check in one UPDATE and announce the new status. Returns False where it was over already."""
    columns |= {"status": status, "status_before": "", "check_started_at": None, "check_result": result}
    mine = Integration.objects.filter(
        pk=integration.pk, status=Status.INITIALIZING, check_started_at=integration.check_started_at
    )
    if not mine.update(**columns):
        return False
    integration.refresh_from_db()
    status_changed.send(Integration, integration=integration, before=Status.INITIALIZING, after=status)
    return True


def put_back(integration: Integration, result: dict[str, Any], **columns: Any) -> bool:
    """End this very check as if it had not been: the former status with its reason. Returns False where it was over."""
    return end_check(integration, integration.status_before or Status.DRAFT, result, **columns)


def recover_interrupted(now: datetime) -> int:
    """Put back integrations whose check was cut off by a crash. Returns how many. Safe to run twice and anywhere."""
    late = Integration.objects.filter(status=Status.INITIALIZING, check_started_at__lt=now - LONGEST_CHECK)
    reason, fix = _("The check was interrupted."), _("Nothing was learned about the key. Initialize again.")
    result = check_result(Verification(False, reason, fix, reachable=False))
    return sum(put_back(integration, result) for integration in late.select_related("merchant"))
