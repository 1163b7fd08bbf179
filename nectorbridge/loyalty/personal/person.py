"""Who a customer is everywhere: their references, the values that are theirs alone, and who is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from events import personal
from events.mentions import Words
from nectorbridge.loyalty.announcements import friend_ref
from nectorbridge.loyalty.lookalikes import customers_at
from nectorbridge.loyalty.models import Customer, Referral

MOST = 1000  # referrals of one customer that are looked through


def refs_of(customer: Customer) -> list[str]:
    """Return every reference of theirs: also of the friend they were before they became a customer."""
    mine = customer.refs()
    found = personal.words_of(customer.merchant_id, mine)
    emails, phones = {customer.email, *found["email"]} - {""}, {customer.phone, *found["phone"]} - {""}
    friends = [friend_ref(customer.merchant_id, email, "") for email in sorted(emails)]
    return [*mine, *friends, *(friend_ref(customer.merchant_id, "", phone) for phone in sorted(phones))]


def person_of(customer: Customer, refs: Iterable[str], alias: UUID | None) -> personal.Person:
    """Return them as they are to be forgotten, from what is still known."""
    refs = tuple(refs)
    found = personal.words_of(customer.merchant_id, refs)
    emails, phones = {customer.email, *found["email"]}, {customer.phone, *found["phone"]}
    ids = {customer.customer_id, customer.nector_id, *found["customer_id"]}
    telling = {word for word in (*emails, *phones) if word and not _is_shared(customer, word)}
    words = Words(telling | ids | {customer.referral_code}, {customer.name, *found["name"], customer.referral_code})
    related = tuple(sorted(_related(customer) - set(refs)))
    named = {"alias": f"{personal.ALIAS}{alias.hex}"} if alias else {}
    return personal.Person(customer.merchant_id, refs, related, words, **named)


def _is_shared(customer: Customer, word: str) -> bool:
    """Tell whether an address is another customer's as well: then it names them, too, and stays where it is theirs."""
    email, phone = (word, "") if "@" in word else ("", word)
    return any(other.pk != customer.pk for other in customers_at(customer.merchant_id, email, phone))


def referrals_to(customer: Customer, words: Words) -> Q:
    """Return the condition for other people's referrals in which this customer is the friend."""
    return Q(friend=customer) | Q(customer__merchant=customer.merchant_id) & (
        Q(friend_email__in=words.telling) | Q(friend_phone__in=words.telling)
    )


def _related(customer: Customer) -> set[str]:
    """Return the references of who referred this customer, and of whom this customer referred."""
    found: set[str] = set()
    for referral in customer.referrals.order_by("-id")[:MOST]:
        found.add(friend_ref(customer.merchant_id, referral.friend_email, referral.friend_phone))
        found |= {str(referral.friend_id)} if referral.friend_id else set()
    addresses = Words({customer.email, customer.phone})
    told = Referral.objects.filter(referrals_to(customer, addresses)).exclude(customer=customer)
    return found | {str(key) for key in told.order_by("-id").values_list("customer", flat=True)[:MOST]}
