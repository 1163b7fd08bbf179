"""What staff see of merchants and integrations."""

from __future__ import annotations

from integrations.admin.integration import IntegrationAdmin
from integrations.admin.merchant import MerchantAdmin
from integrations.admin.staff import InvitationAdmin, MembershipAdmin

__all__ = ["IntegrationAdmin", "InvitationAdmin", "MembershipAdmin", "MerchantAdmin"]
