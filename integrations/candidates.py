"""Candidates: new values of a connected integration. They wait, encrypted, until the provider has taken them.

Until then everything is sent with the former values, so that a slip of the hand stops nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from integrations.fields import Sealed, SecretUnreadable
from integrations.models import Integration, Status
from integrations.probe import for_check
from integrations.providers.base import Account
from integrations.secrets import Secrets, bind

IN_USE = (Status.ACTIVE, Status.PAUSED)  # states in which the saved values work, so that new ones must prove themselves first


@dataclass(frozen=True, slots=True)
class Candidate:
    """The values that staff want: common property, settings, secrets. Printing one shows masks."""

    common_property: str
    settings: dict[str, Any]
    secrets: Secrets

    def account(self, integration: Integration) -> Account:
        """Return what the provider's module needs to check these values."""
        values = Account(self.settings, self.secrets, self.common_property, integration.base_url, probe_id=str(integration.uid))
        return for_check(integration, values)


def is_in_use(integration: Integration) -> bool:
    """Tell whether events are sent, or may be resumed, with the saved values."""
    return integration.initialized_at is not None and integration.status in IN_USE


def seal(integration: Integration, candidate: Candidate) -> str:
    """Return the text to encrypt. As with secrets, the row's identity goes inside."""
    values = {
        "common_property": candidate.common_property,
        "settings": candidate.settings,
        "secrets": dict(candidate.secrets),
    }
    bound = {"merchant": integration.merchant_id, "integration": str(integration.uid), "values": values}
    return json.dumps(bound, separators=(",", ":"))


def unseal(integration: Integration) -> Candidate | None:
    """Return the pending candidate, if any. Raises SecretUnreadable for a wrong key or another row's ciphertext."""
    stored: str | Sealed | None = integration.sealed_candidate
    if not stored:
        return None
    try:
        bound = json.loads(stored.open() if isinstance(stored, Sealed) else stored)
        mine = (bound["merchant"], bound["integration"]) == (integration.merchant_id, str(integration.uid))
        values = bound["values"]
        candidate = Candidate(str(values["common_property"]), dict(values["settings"]), Secrets(values["secrets"]))
    except (ValueError, KeyError, TypeError):
        raise SecretUnreadable("The new values are damaged.") from None
    if not mine:
        raise SecretUnreadable("The new values belong to another integration.")
    return candidate


def columns(integration: Integration, candidate: Candidate) -> dict[str, Any]:
    """Return the columns that put a candidate in the place of the former values, in one UPDATE."""
    found: dict[str, Any] = {
        "common_property": candidate.common_property,
        "settings": candidate.settings,
        "sealed_candidate": None,
    }
    if not _has_secrets(integration, candidate.secrets):
        sealed = bind(dict(candidate.secrets), integration.merchant_id, str(integration.uid))
        found |= {"sealed_secrets": sealed, "secrets_changed_at": timezone.now()}
    return found


def _has_secrets(integration: Integration, wanted: Secrets) -> bool:
    """Tell whether these are the saved secrets already."""
    return bool(wanted) and readable_secrets(integration) == dict(wanted)


def pending(integration: Integration) -> Candidate | None:
    """Return the new values that wait for their check, for showing them; none where no key reads them."""
    try:
        return unseal(integration)
    except SecretUnreadable:
        return None


def readable_secrets(integration: Integration) -> dict[str, str]:
    """Return the secrets in use, none where no key reads them."""
    try:
        return dict(integration.secrets)
    except SecretUnreadable:
        return {}


def differing(former: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the names whose values differ."""
    return [name for name in {**former, **wanted} if former.get(name) != wanted.get(name)]
