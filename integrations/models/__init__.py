"""Merchants, their staff, and their connections to providers; one file per kind of thing."""

from integrations.models.audit import Act, AppendOnly, AuditEntry
from integrations.models.connections import BREAKER_CLOSED, UNHELD, InitializeResult, Integration, Status
from integrations.models.invitations import Invitation
from integrations.models.merchants import (
    MOST_NECTOR_SECRETS,
    HmacMode,
    Membership,
    Merchant,
    OpenTracking,
    Platform,
    Role,
    check_timezone,
    new_token,
)
from integrations.models.notices import Notice

__all__ = [
    "BREAKER_CLOSED",
    "MOST_NECTOR_SECRETS",
    "UNHELD",
    "Act",
    "AppendOnly",
    "AuditEntry",
    "HmacMode",
    "InitializeResult",
    "Integration",
    "Invitation",
    "Membership",
    "Merchant",
    "Notice",
    "OpenTracking",
    "Platform",
    "Role",
    "Status",
    "check_timezone",
    "new_token",
]
