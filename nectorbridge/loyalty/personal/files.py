"""A customer in files that were uploaded: rows that are still to be imported, what was shown of them, and errors."""

from __future__ import annotations

from collections import Counter

from django.db import transaction

from events.personal import Part, Person
from nectorbridge.loyalty.imports import storing
from nectorbridge.loyalty.imports.mobiles import normal
from nectorbridge.loyalty.imports.reading import FIELDS, Record
from nectorbridge.loyalty.models import Customer, ImportFault, ImportPart, ImportRun
from nectorbridge.loyalty.nector.record import own_id

NAMELESS = "import.csv"
PARTS_PER_LOOK = 20  # of a thousand rows
EMAIL, MOBILE, CUSTOMER_ID, COUNTRY = (FIELDS.index(name) + 2 for name in ("email", "mobile", "customer_id", "country"))


def rows_of(part: ImportPart, customer: Customer, person: Person) -> tuple[list[Record], list[Record]]:
    """Return a part's rows that are about this customer or name them, and all others."""
    mine: list[Record] = []
    rest: list[Record] = []
    for record in storing.unpacked(part.content):
        (mine if _is_about(record, customer) or person.words.are_in(record) else rest).append(record)
    return mine, rest


def _is_about(record: Record, customer: Customer) -> bool:
    """Tell whether a row leads to this customer, by the rules of imports."""
    if len(record) <= COUNTRY:
        return False
    email, mobile, written, country = (str(record[place]).strip() for place in (EMAIL, MOBILE, CUSTOMER_ID, COUNTRY))
    if written and customer.customer_id:
        return own_id(written) == own_id(customer.customer_id)
    phone = (normal(mobile, country) or mobile) if mobile else ""
    return bool(
        (email and email.lower() == customer.email.lower()) or (phone and phone.lstrip("+") == customer.phone.lstrip("+"))
    )


def forget(customer: Customer, person: Person, cursor: str) -> Part:
    """Take their rows out of parts that wait, some parts at a time; then previews and errors."""
    parts = ImportPart.objects.filter(run__merchant=customer.merchant_id, pk__gt=int(cursor or 0)).order_by("pk")
    keys = list(parts.values_list("pk", flat=True)[:PARTS_PER_LOOK])
    counts: Counter[str] = Counter()
    for key in keys:
        with transaction.atomic():
            part = ImportPart.objects.select_for_update(of=("self",)).filter(pk=key).first()
            mine, rest = rows_of(part, customer, person) if part else ([], [])
            if part is not None and mine:
                ImportPart.objects.filter(pk=key).update(content=storing.packed(rest))
                counts["import_rows"] += len(mine)
    if keys:
        return Part(+counts, str(keys[-1]))
    return Part(_forget_shown(customer, person), None)


def _forget_shown(customer: Customer, person: Person) -> Counter[str]:
    """Take them out of what pages of imports show."""
    counts: Counter[str] = Counter()
    runs = ImportRun.objects.filter(merchant=customer.merchant_id)
    with transaction.atomic():
        faults = ImportFault.objects.filter(run__merchant=customer.merchant_id)
        named = [row.pk for row in faults.filter(person.words.somewhere_in("value", "message")) if person.words.are_in(row.value)]
        counts["import_errors"] += ImportFault.objects.filter(pk__in=named).delete()[0]
        for run in runs.only("pk", "preview", "file_name", "message"):
            is_named_after = person.words.may_be_in(run.file_name)
            if not (is_named_after or person.words.are_in([run.preview, run.message])):
                continue
            shown = run.preview | {
                name: [line for line in run.preview[name] if not person.words.are_in(line)]
                for name in ("shown", "faults")
                if name in run.preview
            }
            values = {"preview": shown, "message": person.words.taken_out(run.message)}
            name = {"file_name": NAMELESS} if is_named_after else {}
            counts["mentions"] += ImportRun.objects.filter(pk=run.pk).update(**values, **name)
    return +counts
