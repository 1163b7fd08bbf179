"""The ledger as staff see it: customers, wallets, their transactions, coupons, and what comes from Nector."""

from nectorbridge.loyalty.admin.coupons import CouponAdmin
from nectorbridge.loyalty.admin.customers import CustomerAdmin
from nectorbridge.loyalty.admin.imports import ImportRunAdmin
from nectorbridge.loyalty.admin.wallets import WalletAdmin, WalletTransactionAdmin
from nectorbridge.loyalty.admin.webhooks import WebhookReceiptAdmin

__all__ = ["CouponAdmin", "CustomerAdmin", "ImportRunAdmin", "WalletAdmin", "WalletTransactionAdmin", "WebhookReceiptAdmin"]
