"""All that is stored about one customer, as JSON that is written while it is read: memory does not grow with the customer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q, QuerySet
from django.utils import timezone

from events import personal
from events.mentions import Words
from events.personal import pages, plain
from nectorbridge.loyalty.imports.reading import FIELDS
from nectorbridge.loyalty.models import (
    Customer,
    ImportPart,
    LotUse,
    Referral,
    WalletTransaction,
)
from nectorbridge.loyalty.personal import files, receipts
from nectorbridge.loyalty.personal.person import person_of, referrals_to, refs_of

FRIENDS = ("friend_name", "friend_email", "friend_phone", "status", "started_at", "completed_at")


def sections(customer: Customer) -> dict[str, Any]:
    """Return everything by kind: values, or iterators that read as they go."""
    refs = refs_of(customer)
    person = person_of(customer, refs, None)
    wallet = getattr(customer, "wallet", None)
    referred = Referral.objects.filter(referrals_to(customer, Words({customer.email, customer.phone})))
    mine = WalletTransaction.objects.filter(wallet__customer=customer)
    uses = LotUse.objects.filter(Q(lot__wallet__customer=customer))
    return {
        "exported_at": timezone.now(),
        "merchant": customer.merchant.name,
        "customer": plain(customer),
        "former_keys": list(customer.former_keys.order_by("pk").values("former_key", "merged_at")),
        "consent_changes": _rows(customer.consent_changes.all()),
        "wallet": plain(wallet) if wallet else None,
        "wallet_transactions": _rows(mine),
        "uses_of_lots": _rows(uses),
        "coupons": _rows(customer.coupons.all()),
        "orders": _rows(customer.orders.all()),
        "reviews": _rows(customer.reviews.all()),
        "referrals": _rows(customer.referrals.all()),
        "referred_by_others": ({name: getattr(row, name) for name in FRIENDS} for row in _each(referred)),
        "tier_changes": _rows(customer.tier_changes.all()),
        "webhooks": (plain(receipt, ("merchant",)) for receipt in receipts.about(customer, person)),
        "rows_of_imports": _import_rows(customer, person),
        **personal.export(customer.merchant_id, refs),
    }


def _each(rows: QuerySet[Any]) -> Iterator[Any]:
    """Yield rows in the order of their keys, a page at a time."""
    for page in pages(rows.order_by("pk")):
        yield from page


def _rows(rows: QuerySet[Any]) -> Iterator[dict[str, Any]]:
    """Yield rows as JSON has them."""
    return (plain(row) for row in _each(rows))


def _import_rows(customer: Customer, person: personal.Person) -> Iterator[dict[str, Any]]:
    """Yield rows of files that are still to be imported."""
    for part in ImportPart.objects.filter(run__merchant=customer.merchant_id).order_by("pk").iterator(1):
        for record in files.rows_of(part, customer, person)[0]:
            yield {"import": part.run_id, "row": record[0], **dict(zip(FIELDS, record[2:], strict=False))}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield sections as one JSON object, a line for each row."""
    yield "{"
    for number, (name, value) in enumerate(found.items()):
        yield f"{',' if number else ''}\n{_json(name)}: "
        if not isinstance(value, Iterator):
            yield _json(value)
            continue
        yield "["
        for place, row in enumerate(value):
            yield f"{',' if place else ''}\n  {_json(row)}"
        yield "]"
    yield "\n}\n"


def _json(value: Any) -> str:
    """Return a value as JSON: times as ISO 8601, decimals as text."""
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
