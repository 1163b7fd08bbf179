"""Consent: what customers said about being written to, dated and with its source."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from events import suppression
from integrations import audit
from nectorbridge.loyalty.models import Channel, Consent, ConsentChange, Customer
from nectorbridge.loyalty.services import checks

LONGEST_SOURCE = 60


def set_consent(
    customer: Customer,
    channel: str,
    consent: str,
    source: str = "",
    occurred_at: datetime | None = None,
    portal: str = "",
) -> ConsentChange:
    """Write down what a customer said, and have it count unless something newer is known. Returns what was written down.

    A no stops what waits for them, a yes lifts what an earlier no or complaint suppressed. `channel` is `email`, `sms` or
    `whatsapp`; `consent` is `subscribed`, `unsubscribed` or `unknown`. `source` says where it is known from, for example a form;
    without one it is the portal. Raises ValueError for any other word, or a naive time.
    """
    checks.portal(portal)
    checks.aware(occurred_at, "occurred_at")
    if channel not in Channel.values:
        raise ValueError(f"channel must be one of {', '.join(Channel.values)}; got {channel!r}")
    if consent not in Consent.values:
        raise ValueError(f"consent must be one of {', '.join(Consent.values)}; got {consent!r}")
    source = checks.fits(source or portal, LONGEST_SOURCE, "source")
    moment, column = occurred_at or timezone.now(), _column(channel)
    with transaction.atomic():
        row = Customer.objects.select_for_update().get(pk=customer.pk)
        newer = row.consent_changes.filter(channel=channel, is_applied=True, occurred_at__gt=moment)
        change = ConsentChange(
            customer=row,
            channel=channel,
            consent=consent,
            former=getattr(row, column),
            source=source,
            is_applied=not newer.exists(),
            occurred_at=moment,
        )
        change.save(force_insert=True)
        _audit(row, channel, consent)
        if change.is_applied:
            Customer.objects.filter(pk=row.pk).update(**{column: consent})
            setattr(customer, column, consent)
            customer.remember()
            follow(row, consent, moment)
    return change


def note_edited(customer: Customer, source: str) -> None:
    """Write down what is different in a customer who was saved by hand; call it in the same transaction."""
    for channel in Channel.values:
        former, consent = customer.former_consent(channel), getattr(customer, _column(channel))
        if former != consent:
            ConsentChange.objects.create(customer=customer, channel=channel, consent=consent, former=former, source=source)
            _audit(customer, channel, consent)
            follow(customer, consent, timezone.now())


def _audit(customer: Customer, channel: str, consent: str) -> None:
    """Have the audit trail know, where it was a member of staff who changed it."""
    if audit.person():
        audit.note(audit.Act.CONSENT, customer, fields=[channel], consent=consent)


def follow(customer: Customer, consent: str, moment: datetime) -> None:
    """Have the outbox act on what somebody said, also under the names that were theirs before they were merged."""
    if consent == Consent.UNKNOWN:
        return
    refs = customer.refs()
    if consent == Consent.UNSUBSCRIBED:
        suppression.withdraw(customer.merchant_id, refs)
        return
    for ref in refs:
        suppression.lift(customer.merchant_id, ref, moment)


def _column(channel: str) -> str:
    """Return where a channel's consent is kept."""
    return f"consent_{channel}"
