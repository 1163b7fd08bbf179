"""What may happen in the ledger. Each service is one database transaction, takes the portal it happened in, and returns
the row it wrote; what it did is announced in the same transaction.
"""

from nectorbridge.loyalty.ledger import InsufficientBalance
from nectorbridge.loyalty.personal.erasing import ErasureError
from nectorbridge.loyalty.services.coins import credit, debit, expire_coins
from nectorbridge.loyalty.services.consent import set_consent
from nectorbridge.loyalty.services.coupons import CouponError, create_coupon, redeem_coupon
from nectorbridge.loyalty.services.customers import change_tier, merge_customers
from nectorbridge.loyalty.services.orders import OrderError, place_order, refund_order
from nectorbridge.loyalty.services.personal import erase_customer, erase_friend, export_customer
from nectorbridge.loyalty.services.referrals import ReferralError, cancel_referral, complete_referral, start_referral
from nectorbridge.loyalty.services.reviews import ReviewError, approve_review, reject_review, request_review, submit_review

__all__ = [
    "CouponError",
    "ErasureError",
    "InsufficientBalance",
    "OrderError",
    "ReferralError",
    "ReviewError",
    "approve_review",
    "cancel_referral",
    "change_tier",
    "complete_referral",
    "create_coupon",
    "credit",
    "debit",
    "erase_customer",
    "erase_friend",
    "expire_coins",
    "export_customer",
    "merge_customers",
    "place_order",
    "redeem_coupon",
    "refund_order",
    "reject_review",
    "request_review",
    "set_consent",
    "start_referral",
    "submit_review",
]
