"""Which account at the provider an integration is connected to: another one knows nothing of what was pushed before."""

from __future__ import annotations

import json

from django.utils.crypto import salted_hmac

from integrations.models import Integration
from integrations.signals import account_changed


def mark_of(integration: Integration) -> str:
    """Return a fingerprint (64 hex digits) of the values that name the account. Nothing can be read from it.

    Raises SecretUnreadable.
    """
    values = {**(integration.settings or {}), **integration.secrets}
    names = sorted(field.name for field in integration.contract.fields if field.names_account)
    text = json.dumps([integration.provider, [[name, str(values.get(name) or "")] for name in names]])
    return salted_hmac("integrations.accounts", text, algorithm="sha256").hexdigest()


def note_account(integration: Integration) -> bool:
    """Store which account was just connected; announce it where it is another one than before. Returns whether it is.

    Call it in the transaction that connects, so that nothing is sent to the new account as if it were the former one.
    """
    mark, former = mark_of(integration), integration.account_mark
    if mark == former:
        return False
    integration.account_mark = mark
    Integration.objects.filter(pk=integration.pk).update(account_mark=mark)
    if former:
        account_changed.send(Integration, integration=integration)
    return bool(former)
