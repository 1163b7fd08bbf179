"""Checking an integration's credentials, and the changes of state that follow."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations import http
from integrations.fields import SecretUnreadable
from integrations.models import InitializeResult, Integration, Status
from integrations.probe import for_check
from integrations.providers.base import Account, Fault, Provider, Verification
from integrations.signals import initialized, status_changed

SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - a reason code
STATE_FIELDS = ["status", "status_reason", "status_fix", "status_changed_at", "hold_until", "hold_count"]


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


def initialize(integration: Integration) -> InitializeResult:
    """Verify, save the outcome, announce success. The network being down keeps the former status."""
    missing = missing_fields(integration)
    if missing:
        reason = _("%(fields)s missing.") % {"fields": ", ".join(missing)}
        fix = _("Fill in every field of step 2, save, and initialize again.")
        return _refused(integration, Verification(False, reason, fix))
    try:
        account = integration.account()
    except SecretUnreadable:
        return _refused(integration, unreadable())
    checked = verify(integration.contract, for_check(integration, account))
    if checked.ok:
        set_status(integration, Status.ACTIVE, initialized_at=timezone.now(), enabled=True)
        initialized.send(Integration, integration=integration)
        return InitializeResult(True, detail=checked.detail)
    if not checked.reachable:  # nothing was learned: what was known before stays
        return InitializeResult(False, checked.reason, checked.fix, checked.detail)
    return _refused(integration, checked)


def _refused(integration: Integration, checked: Verification) -> InitializeResult:
    """Save why it did not work."""
    set_status(integration, Status.ATTENTION, checked.reason, checked.fix)
    return InitializeResult(False, checked.reason, checked.fix, checked.detail)


def missing_fields(integration: Integration) -> list[str]:
    """Return the labels of required fields that have no value."""
    values = dict(integration.settings or {})
    try:
        values |= integration.secrets
    except SecretUnreadable:
        values |= {field.name: "?" for field in integration.contract.fields if field.secret}
    return [str(field.label) for field in integration.contract.fields if field.required and not values.get(field.name)]


def unreadable() -> Verification:
    """Return the verdict on credentials that no key reads."""
    return Verification(
        False,
        _("The stored credentials cannot be read (%(code)s).") % {"code": SECRET_UNREADABLE},
        _("Put the former key back into FERNET_KEYS, or enter the credentials again."),
    )


def set_status(integration: Integration, status: str, reason: str = "", fix: str = "", **values: object) -> None:
    """Save a change of state and announce it. Other columns are left as they are in the database."""
    before = integration.status
    integration.status, integration.status_reason, integration.status_fix = status, reason, fix
    integration.status_changed_at = timezone.now()
    integration.hold_until, integration.hold_count = None, 0
    for name, value in values.items():
        setattr(integration, name, value)
    integration.save(update_fields=[*STATE_FIELDS, *values])
    if before != status:
        status_changed.send(Integration, integration=integration, before=before, after=status)
