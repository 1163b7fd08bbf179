"""Who a credential check may speak of: where the only check is a write, it writes a test profile of the merchant's own."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from integrations.models import Integration, Membership, Role
from integrations.providers.base import Account
from integrations.providers.values import email_or_none

MAILBOX = "nectorbridge"
NOBODY = "nectorbridge@example.com"  # RFC 2606: never anybody's


def for_check(integration: Integration, account: Account) -> Account:
    """Return the account with the merchant's contact address. It costs a query, so only checks ask for it."""
    return replace(account, contact_email=contact_email(integration))


def contact_email(integration: Integration) -> str:
    """Return an address of the merchant's that stays the same: its first owner's, else one at its website."""
    owners = Membership.objects.filter(merchant_id=integration.merchant_id, role=Role.OWNER, user__is_active=True)
    addresses = owners.order_by("pk").values_list("user__email", flat=True)
    found = next((address for address in map(email_or_none, addresses) if address), None)
    return found or email_or_none(f"{MAILBOX}@{_host(integration.merchant.website)}") or NOBODY


def _host(website: str) -> str:
    """Return the host name of a website, or nothing."""
    try:
        return (urlsplit(website).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
