"""The ledger as staff see it: customers, wallets, coupons, what customers do, and what comes from Nector."""

from nectorbridge.loyalty.admin.coupons import CouponAdmin
from nectorbridge.loyalty.admin.customers import CustomerAdmin
from nectorbridge.loyalty.admin.erasures import ErasureReportAdmin
from nectorbridge.loyalty.admin.imports import ImportRunAdmin
from nectorbridge.loyalty.admin.orders import OrderAdmin
from nectorbridge.loyalty.admin.referrals import ReferralAdmin
from nectorbridge.loyalty.admin.reviews import ReviewAdmin
from nectorbridge.loyalty.admin.tiers import TierChangeAdmin
from nectorbridge.loyalty.admin.wallets import WalletAdmin, WalletTransactionAdmin
from nectorbridge.loyalty.admin.webhooks import WebhookReceiptAdmin

__all__ = [
    "CouponAdmin",
    "CustomerAdmin",
    "ErasureReportAdmin",
    "ImportRunAdmin",
    "OrderAdmin",
    "ReferralAdmin",
    "ReviewAdmin",
    "TierChangeAdmin",
    "WalletAdmin",
    "WalletTransactionAdmin",
    "WebhookReceiptAdmin",
]
