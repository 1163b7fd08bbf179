"""The ledger as staff see it: customers, wallets, their transactions, coupons."""

from nectorbridge.loyalty.admin.coupons import CouponAdmin
from nectorbridge.loyalty.admin.customers import CustomerAdmin
from nectorbridge.loyalty.admin.wallets import WalletAdmin, WalletTransactionAdmin

__all__ = ["CouponAdmin", "CustomerAdmin", "WalletAdmin", "WalletTransactionAdmin"]
