"""The ledger's tables, one file per kind of thing."""

from nectorbridge.loyalty.models.coupons import Coupon, CouponStatus, ValueClass
from nectorbridge.loyalty.models.customers import Consent, Customer
from nectorbridge.loyalty.models.wallets import LotUse, Operation, Wallet, WalletTransaction

__all__ = [
    "Consent",
    "Coupon",
    "CouponStatus",
    "Customer",
    "LotUse",
    "Operation",
    "ValueClass",
    "Wallet",
    "WalletTransaction",
]
