"""A friend who was told of the store and never became a customer: named by an address alone."""

from __future__ import annotations

from collections import Counter

from django.db.models import Q

from events import personal
from events.mentions import Words
from events.personal import Busy
from integrations.models import Merchant
from nectorbridge.loyalty.announcements import friend_ref
from nectorbridge.loyalty.models import Referral
from nectorbridge.loyalty.personal.erasing import ErasureError
from nectorbridge.loyalty.personal.ledger import NOBODY


def erase_friend(merchant: Merchant, email: str = "", phone: str = "") -> Counter[str]:
    """Forget a friend of that address: what was sent to them, and who they were in referrals. Returns rows by kind.

    Raises ErasureError while something is sent to them, ValueError without an address.
    """
    if not (email.strip() or phone.strip()):
        raise ValueError("A friend is named by an email or a mobile number.")
    whose = Q(friend_email__iexact=email.strip()) if email.strip() else Q(friend_email="", friend_phone=phone.strip())
    told = Referral.objects.filter(whose, customer__merchant=merchant, friend=None)
    rows = list(told.values_list("customer", "friend_email", "friend_phone", "friend_name"))
    telling = {value for row in rows for value in row[1:3]} | {email, phone}
    refs = {friend_ref(merchant.pk, *pair) for pair in ((email, ""), ("", phone), *(row[1:3] for row in rows)) if any(pair)}
    related = tuple(sorted({str(row[0]) for row in rows}))
    person = personal.Person(merchant.pk, tuple(sorted(refs)), related, Words(telling, {row[3] for row in rows}))
    try:
        counts = personal.forget(person)
    except Busy:
        raise ErasureError("A message to this friend is being sent at this moment. Try again in a minute.") from None
    return counts + Counter(referrals=told.update(**NOBODY))
