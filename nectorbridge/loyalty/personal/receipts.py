"""Which webhooks are about a customer, and which name them in passing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.db import transaction
from django.db.models import Max, Q, QuerySet

from events.mentions import as_text
from events.personal import Part, Person, pages
from nectorbridge.loyalty.models import Customer, WebhookReceipt
from nectorbridge.loyalty.nector.record import Record, ways_to_write

RECEIPTS_PER_LOOK = 2_000


def about(customer: Customer, person: Person) -> Iterator[WebhookReceipt]:
    """Yield the webhooks about a customer, oldest first, a page at a time."""
    mine = WebhookReceipt.objects.filter(merchant=customer.merchant_id).order_by("pk")
    for page in pages(_candidates(mine, person)):
        yield from (receipt for receipt in page if is_about(receipt, customer, person))


def is_about(receipt: WebhookReceipt, customer: Customer, person: Person) -> bool:
    """Tell whether a webhook is about this customer: it became something of theirs, or will, or would have."""
    if receipt.customer_ref:
        return receipt.customer_ref in person.refs
    said = Record(receipt.topic, receipt.body).person()
    if said.customer_id and customer.customer_id:
        return said.customer_id in ways_to_write(customer.customer_id) or said.nector_id == customer.customer_id
    values = {said.email.lower(), said.phone, said.referral_code, said.customer_id} - {""}
    return bool(values & {customer.email.lower(), customer.phone, customer.referral_code, customer.customer_id})


def _candidates(rows: QuerySet[WebhookReceipt], person: Person) -> QuerySet[WebhookReceipt]:
    """Return webhooks that may be about somebody or name them; those without a reference are looked at one by one."""
    found = Q(customer_ref__in=person.refs) | Q(customer_ref="") | person.words.somewhere_in("text", "detail", "delivery_id")
    return rows.alias(text=as_text("body")).filter(found)


def forget(customer: Customer, person: Person, cursor: str) -> Part:
    """Delete webhooks about them, and take them out of those of others, so many rows at a time."""
    mine = WebhookReceipt.objects.filter(merchant=customer.merchant_id).order_by("pk")
    begin = int(cursor or 0)
    if begin >= (mine.aggregate(last=Max("pk"))["last"] or 0):
        return Part(Counter(), None)
    counts: Counter[str] = Counter()
    with transaction.atomic():
        for receipt in _candidates(mine.filter(pk__gt=begin, pk__lte=begin + RECEIPTS_PER_LOOK), person):
            if is_about(receipt, customer, person):
                counts["receipts"] += receipt.delete()[0]
            elif person.words.are_in([receipt.body, receipt.detail, receipt.delivery_id]):
                counts["mentions"] += _scrub(receipt, person)
    return Part(+counts, str(begin + RECEIPTS_PER_LOOK))


def _scrub(receipt: WebhookReceipt, person: Person) -> int:
    """Take them out of a webhook that is about somebody else."""
    values = {"body": person.words.taken_out(receipt.body), "detail": person.words.taken_out(receipt.detail)}
    return WebhookReceipt.objects.filter(pk=receipt.pk).update(**values)
