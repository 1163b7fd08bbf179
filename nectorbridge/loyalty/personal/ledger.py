"""The ledger's own part: what others' rows say of a customer, what the admin noted, and at last the customer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.db.models import Q

from events.personal import Part, Person
from events.sql import in_parts
from nectorbridge.loyalty.models import Customer, LotUse, Referral, WalletTransaction
from nectorbridge.loyalty.personal.person import referrals_to

NAMELESS = "(erased)"
NOBODY = {"friend": None, "friend_email": "", "friend_phone": "", "friend_name": ""}
KEYS_PER_STATEMENT = 500


def forget_as_friend(customer: Customer, person: Person) -> Part:
    """Take them out of referrals of others, which stay: a reward was given for them."""
    told = Referral.objects.filter(referrals_to(customer, person.words)).exclude(customer=customer)
    return Part(+Counter(referrals=told.update(**NOBODY)), None)


def forget_in_log(customer: Customer, person: Person) -> Part:
    """Take names out of what the admin's history says about their rows; who did what and when stays."""
    count = 0
    for model, keys in _rows_of(customer):
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model)).exclude(object_repr=NAMELESS)
        for part in in_parts(keys, KEYS_PER_STATEMENT):
            mine = entries.filter(object_id__in=part)
            names = [
                row.pk for row in mine if '"object"' in row.change_message or person.words.are_in(row.change_message, close=True)
            ]
            LogEntry.objects.filter(pk__in=names).update(change_message="")
            count += mine.update(object_repr=NAMELESS)
    return Part(+Counter(log=count), None)


def _rows_of(customer: Customer) -> list[tuple[type[models.Model], Iterable[str]]]:
    """Return the keys of all rows that hang on a customer, as the admin's history has them, by model."""
    found: list[tuple[type[models.Model], Iterable[str]]] = [(Customer, customer.refs())]
    for relation in customer._meta.related_objects:
        if relation.on_delete is models.CASCADE:
            model, column = relation.related_model, relation.field.name
            found.append((model, _keys(model._base_manager.filter(**{column: customer}))))
    return [*found, (WalletTransaction, _keys(WalletTransaction.objects.filter(wallet__customer=customer)))]


def _keys(rows: models.QuerySet) -> list[str]:
    return [str(key) for key in rows.order_by("pk").values_list("pk", flat=True)]


def delete(customer: Customer) -> Part:
    """Delete the customer and all that hangs on them, in one transaction."""
    counts: Counter[str] = Counter()
    with transaction.atomic():
        locked = Customer.objects.select_for_update().filter(pk=customer.pk).first()
        if locked is None:
            return Part(counts, None)
        entries = WalletTransaction.objects.filter(wallet__customer=customer)
        uses = LotUse.objects.filter(Q(lot__wallet__customer=customer) | Q(debit__wallet__customer=customer))
        for rows in (uses, entries):  # transactions refuse to be deleted otherwise: here the whole wallet goes
            keys = list(rows.values_list("pk", flat=True))
            for place in range(0, len(keys), KEYS_PER_STATEMENT):
                part = rows.model._base_manager.filter(pk__in=keys[place : place + KEYS_PER_STATEMENT])
                counts[rows.model._meta.label_lower] += part._raw_delete(using=connection.alias)
        _total, by_model = locked.delete()
    return Part(+(counts + Counter({label.lower(): number for label, number in by_model.items()})), None)
