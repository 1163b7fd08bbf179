"""The ledger's tables, one file per kind of thing."""

from nectorbridge.loyalty.models.coupons import Coupon, CouponStatus, ValueClass
from nectorbridge.loyalty.models.customers import Channel, Consent, ConsentChange, Customer, MergedCustomer
from nectorbridge.loyalty.models.erasures import ErasureReport, ErasureState
from nectorbridge.loyalty.models.imports import ImportFault, ImportPart, ImportRun, ImportState
from nectorbridge.loyalty.models.moments import (
    Order,
    OrderStatus,
    Referral,
    ReferralStatus,
    Review,
    ReviewStatus,
    TierChange,
)
from nectorbridge.loyalty.models.receipts import DoorRefusal, HmacVerdict, Inbox, ReceiptState, Refusal, WebhookReceipt
from nectorbridge.loyalty.models.wallets import LotUse, Operation, Wallet, WalletTransaction

__all__ = [
    "Channel",
    "Consent",
    "ConsentChange",
    "Coupon",
    "CouponStatus",
    "Customer",
    "DoorRefusal",
    "ErasureReport",
    "ErasureState",
    "HmacVerdict",
    "ImportFault",
    "ImportPart",
    "ImportRun",
    "ImportState",
    "Inbox",
    "LotUse",
    "MergedCustomer",
    "Operation",
    "Order",
    "OrderStatus",
    "ReceiptState",
    "Referral",
    "ReferralStatus",
    "Refusal",
    "Review",
    "ReviewStatus",
    "TierChange",
    "ValueClass",
    "Wallet",
    "WalletTransaction",
    "WebhookReceipt",
]
