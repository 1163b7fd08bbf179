"""What each topic of Nector's becomes: rows of the ledger, which announce themselves, or an activity without a row.

Nector's numbers win where this ledger mirrors its: a balance that a webhook says is the balance from then on, and what comes late
is written down without moving it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext as _

from events import triggers
from events.models import EventDefinition
from events.receipts import CannotBeUsed
from nectorbridge.loyalty import announcements, services
from nectorbridge.loyalty.models import Customer, ReceiptState, WebhookReceipt
from nectorbridge.loyalty.nector import coins, coupons, moments, people
from nectorbridge.loyalty.nector.record import Record


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a webhook."""

    detail: str
    customer_ref: str = ""
    rows: tuple[models.Model, ...] = ()
    state: ReceiptState = ReceiptState.DONE
    became: list[list[Any]] = field(init=False)

    def __post_init__(self) -> None:
        """Name the rows as they are kept with the receipt."""
        object.__setattr__(self, "became", [[row._meta.label_lower, row.pk] for row in self.rows])


@dataclass(frozen=True, slots=True)
class News:
    """One webhook with what everybody who works on it needs."""

    receipt: WebhookReceipt
    record: Record
    customer: Customer
    as_of: datetime  # when it happened there
    portal: str

    @property
    def key(self) -> str:
        """Return what names this very thing: Nector's key of the record, otherwise the webhook itself."""
        return self.record.key or f"receipt-{self.receipt.pk}"


def apply(receipt: WebhookReceipt) -> Result:
    """Write what the webhook says. Raises CannotBeUsed with the reason where nothing can be made of it."""
    topic = triggers.SPELLINGS.get(receipt.topic, receipt.topic)
    if not topic:
        raise CannotBeUsed(_("It came without a topic (header x-nector-topic)."))
    is_known = topic in HANDLERS
    if not is_known and not _is_heard(receipt, topic):
        return Result(_("No event is made of this topic. Make it a trigger to have it sent."), state=ReceiptState.UNHEARD)
    record = Record(topic, receipt.body)
    as_of = record.as_of or receipt.sent_at or receipt.received_at
    person = record.person()
    if not person:
        raise CannotBeUsed(_("It names no customer: neither an ID nor an email nor a mobile number."))
    customer = people.upsert(receipt.merchant, person, min(as_of, receipt.received_at))
    news = News(receipt, record, customer, min(as_of, receipt.received_at), record.portal(receipt.source))
    handler = HANDLERS.get(topic, _custom)
    try:
        rows = tuple(row for row in handler(news) if row is not None)
    except ValueError as error:
        raise CannotBeUsed(str(error)) from None
    return Result(_words(rows) if rows else _("It was passed on."), customer.ref, rows)


def _words(rows: tuple[models.Model, ...]) -> str:
    """Return what was written, in words."""
    return ", ".join(f"{row._meta.verbose_name} {row}" for row in rows)


def _is_heard(receipt: WebhookReceipt, topic: str) -> bool:
    """Tell whether the merchant made an event of this topic of their own."""
    mine = EventDefinition.objects.filter(integration__merchant=receipt.merchant_id, trigger=triggers.custom(topic))
    return mine.exists()


# --- Topics ----------------------------------------------------------------------------------------------------------------
def _lead(news: News) -> tuple[models.Model | None, ...]:
    """A customer was made or changed: that is done; a tier goes along."""
    tier = news.record.person().tier
    change = services.change_tier(news.customer, tier) if tier and news.customer.tier != tier else None
    return (news.customer, change)


def _tier(news: News) -> tuple[models.Model | None, ...]:
    """A customer's tier changed."""
    tier = news.record.text("tier", "new_tier", "user_tier", "viptier", longest=60) or news.record.person().tier
    tier = tier or news.record.text("name", longest=60)
    if not tier:
        raise CannotBeUsed(_("It names no tier."))
    return (services.change_tier(news.customer, tier, portal=news.portal), news.customer)


def _pass_on(news: News) -> tuple[models.Model | None, ...]:
    """Nector decided that it is time for a message: nothing changes, and it is announced with what it says."""
    topic = news.record.topic
    properties = {**_standard(news), **news.record.properties()}
    # A reminder may come several times for the same thing, in the same words: each webhook is one. Nector's key of the thing is
    # not in the name, where ours would be: it would be taken for one of our rows (see `relevance`).
    subject = f"receipt-{news.receipt.pk}"
    announcements.passed_on(topic, subject, news.customer, properties, news.as_of, news.portal)
    return ()


def _custom(news: News) -> tuple[models.Model | None, ...]:
    """A topic of the merchant's own."""
    subject = f"receipt-{news.receipt.pk}"
    trigger = triggers.custom(news.record.topic)
    announcements.passed_on(trigger, subject, news.customer, news.record.properties(), news.as_of, news.portal)
    return ()


def _standard(news: News) -> dict[str, Any]:
    """Return what a reminder is about under the names that our own reminders use."""
    record = news.record
    if record.topic == "unusedcouponrequest_create":
        return coupons.properties(record)
    if record.topic in ("coinexpirynotify_create", "unusedwalletcoinrequest_create"):
        found = {"coins": record.whole("coins", "amount", "expiring_amount"), "expires_at": record.moment("expires_at", "expire")}
        return {name: value for name, value in found.items() if value is not None}
    if record.topic in ("refereenotify_create", "incompletereferralrequest_create"):
        return {"coupon_code": record.text("coupon_code", "value", "code")} if record.text("coupon_code", "value", "code") else {}
    return {}


Handler = Callable[[News], tuple[models.Model | None, ...]]
HANDLERS: Mapping[str, Handler] = {
    "lead_create": _lead,
    "lead_update": _lead,
    "walletreward_create": coins.transaction,
    "wallettrasaction_update": coins.transaction_changed,
    "coupon_create": coupons.coupon,
    "coupon_update": coupons.coupon,
    "order_create": moments.order,
    "order_update": moments.order,
    "review_create": moments.review,
    "review_update": moments.review,
    "viptier_create": _tier,
    "reviewrequest_create": _pass_on,
    "incompletereferralrequest_create": _pass_on,
    "unusedcouponrequest_create": _pass_on,
    "unusedwalletcoinrequest_create": _pass_on,
    "coinexpirynotify_create": _pass_on,
    "refereenotify_create": _pass_on,
    "referrernotify_create": _pass_on,
}
