"""What the ledger answers the outbox: who a merchant's customers are, what they have, and who changed.

Every answer takes the same few statements however many customers it is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Lower
from django.utils import timezone

from events import personal
from events.host import CHANNELS, Consent, ConsentNews, Exposure, Host, HostProfile, Outcome, strongest
from events.sql import hot_cursor, key_list
from nectorbridge.loyalty import changes, outcomes, relevance
from nectorbridge.loyalty.models import ConsentChange, Customer, MergedCustomer, WalletTransaction
from nectorbridge.loyalty.properties import referral_link
from nectorbridge.loyalty.references import key_of
from nectorbridge.loyalty.services.consent import set_consent

# Said in SQL, since it is asked at every open: the ORM takes longer to build it than the database to answer. Keys are numbers.
CONSENTS = """
    SELECT c.id, {columns} FROM loyalty_customer c WHERE c.id {keys} AND c.merchant_id = %s
    UNION ALL
    SELECT m.former_key, {columns} FROM loyalty_mergedcustomer m JOIN loyalty_customer c ON c.id = m.customer_id
    WHERE m.former_key {keys} AND c.merchant_id = %s
"""
PREFIXES = ("email", "phone", "customer_id", "name")


class LoyaltyHost(Host):
    """The ledger as the outbox sees it. A customer's reference is their key, as text."""

    def search_customers(self, merchant_id: int, query: str, limit: int = 20) -> Sequence[HostProfile]:
        """Return whose email, phone or customer ID this is, then those of whom one of these, or the name, begins with it."""
        query = query.strip()
        if not query or "\x00" in query or limit <= 0:
            return []
        mine = Customer.objects.filter(merchant=merchant_id).order_by("pk").alias(address=Lower("email"))
        whose = Q(address=query.lower()) | Q(customer_id=query) | Q(phone__in=[query, f"+{query}"])
        exact = _read(mine.filter(whose)[:limit])
        if (room := limit - len(exact)) <= 0:
            return exact
        begins = Q(phone__startswith=f"+{query}")
        for name in PREFIXES:
            begins |= Q(**{f"{name}__istartswith": query})
        others = mine.filter(begins).exclude(pk__in=[profile.ref for profile in exact])
        return [*exact, *_read(others[:room])]

    def count_customers(self, merchant_id: int) -> int:
        """Return how many customers the merchant has."""
        return Customer.objects.filter(merchant=merchant_id).count()

    def profiles(
        self, merchant_id: int, refs: Collection[str] | None = None, after: str = "", limit: int = 500
    ) -> Sequence[HostProfile]:
        """Return these customers, or the next ones behind a reference, in the order of their keys."""
        mine = Customer.objects.filter(merchant=merchant_id).order_by("pk")
        if refs is not None:
            keys = {key for ref in refs if (key := key_of(ref))}
            merged = MergedCustomer.objects.filter(former_key__in=keys).order_by().values_list("customer")
            today = Customer.objects.filter(pk__in=keys).order_by().values_list("pk").union(merged)
            return _read(mine.filter(pk__in=today)) if keys else []
        return _read(mine.filter(pk__gt=key_of(after))[: max(limit, 0)])

    def refs_of_phones(self, merchant_id: int, phones: Collection[str]) -> Mapping[str, Collection[str]]:
        """Return whose these phone numbers are, with or without their plus: one statement."""
        written = {form: phone for phone in phones for form in (phone, f"+{phone.lstrip('+')}")}
        found: dict[str, set[str]] = {}
        whose = Customer.objects.filter(merchant=merchant_id, phone__in=written).order_by()
        for phone, key in whose.values_list("phone", "pk"):
            found.setdefault(written[phone], set()).add(str(key))
        return found

    def resolve_refs(self, merchant_id: int, refs: Collection[str]) -> Mapping[str, str]:
        """Return who these are now, in one statement: of who was merged, the customer into whom."""
        keys = {key for ref in refs if (key := key_of(ref))}
        merged = MergedCustomer.objects.filter(customer__merchant=merchant_id, former_key__in=keys)
        moved = dict(merged.values_list("former_key", "customer")) if keys else {}
        return {ref: str(moved.get(key_of(ref), ref)) for ref in refs}

    def resolve_ref(self, ref: str) -> str:
        """Return who this is now. Keys are unique across merchants."""
        found = MergedCustomer.objects.filter(former_key=key_of(ref)).values_list("customer", flat=True).first()
        return ref if found is None else str(found)

    def changed_since(self, merchant_id: int, since: datetime, limit: int = 5000) -> tuple[Sequence[str], datetime | None]:
        """Return whose wallet, lots or person changed, and whose next expiry has come by itself; oldest change first.

        A customer who changed in several ways is named once. Where the answer is cut, all of its last instant are in it.
        """
        keys, reached = changes.since(merchant_id, since, timezone.now(), max(limit, 1))
        return [str(key) for key in keys], reached

    def consents(self, merchant_id: int, refs: Collection[str], channel: str = "") -> Mapping[str, str]:
        """Return what these customers agreed to, on one channel or, without it, on any. Who was merged says what they say now."""
        keys = {key for ref in refs if (key := key_of(ref))}
        if not keys:
            return {}
        names = [channel] if channel in CHANNELS else CHANNELS
        columns = ", ".join(f"c.consent_{name}" for name in names)
        condition, listed = key_list(keys)
        with hot_cursor() as cursor:
            cursor.execute(CONSENTS.format(columns=columns, keys=condition), [listed, merchant_id] * 2)
            return {str(key): strongest(said) for key, *said in cursor.fetchall()}

    def unsubscribed_since(self, since: datetime) -> Mapping[int, Collection[str]]:
        """Return who unsubscribed, by merchant."""
        recent = ConsentChange.objects.filter(created_at__gte=since, consent=Consent.UNSUBSCRIBED.value, is_applied=True)
        found: dict[int, set[str]] = {}
        for merchant_id, pk in recent.order_by().values_list("customer__merchant", "customer"):
            found.setdefault(merchant_id, set()).add(str(pk))
        return found

    def on_consent_change(self, merchant_id: int, news: Sequence[ConsentNews]) -> Collection[str]:
        """Keep what came back, each as a change with its source; of who was merged, at the one they are now."""
        now = {ref: key_of(current) for ref, current in self.resolve_refs(merchant_id, {item.ref for item in news}).items()}
        people = Customer.objects.filter(merchant=merchant_id).in_bulk(set(now.values()))
        kept = set()
        for item in news:
            if customer := people.get(now[item.ref]):
                for channel in [item.channel] if item.channel else CHANNELS:
                    set_consent(customer, channel, item.answer, item.source, item.occurred_at)
                kept.add(item.ref)
        return kept

    def outcomes(self, merchant_id: int, trigger: str, exposures: Sequence[Exposure]) -> Mapping[str, Outcome]:
        """Return what these customers did: a handful of statements, each by an index of its customers."""
        return outcomes.of(merchant_id, trigger, exposures)

    def merchants_changed_since(self, since: datetime) -> Collection[int]:
        """Return the merchants of whom any customer changed."""
        return changes.merchants_since(since, timezone.now())

    def erase(self, merchant_id: int, refs: Collection[str]) -> Mapping[str, int]:
        """Forget these customers, each with a report of their own. Raises ErasureError while something is sent to one of them."""
        from nectorbridge.loyalty.services.personal import erase_customer

        keys = {key_of(ref) for ref in self.resolve_refs(merchant_id, refs).values()}
        found: Counter[str] = Counter()
        for customer in Customer.objects.filter(merchant=merchant_id, pk__in=keys).select_related("merchant").order_by("pk"):
            found += Counter(erase_customer(customer).counts)
        if strangers := [ref for ref in refs if not key_of(ref)]:  # friends who never became customers
            found += personal.erase(merchant_id, strangers)
        return found

    def still_relevant(self, trigger: str, keys: Collection[str]) -> Mapping[str, str | None]:
        """Tell which announcements are overtaken: a coupon used or over, coins spent. One statement, however many keys."""
        return relevance.still_relevant(trigger, keys, timezone.now())


def _read(customers: QuerySet[Customer]) -> list[HostProfile]:
    """Return profiles, in one statement."""
    return list(_profiles(customers, timezone.now()))


def _profiles(customers: QuerySet[Customer], now: datetime) -> Iterator[HostProfile]:
    """Yield profiles as of now. The next expiry is found by the index of open lots, one look a customer."""
    lots = WalletTransaction.objects.filter(wallet=OuterRef("wallet"), remaining__gt=0)
    coming = lots.filter(expires_at__gt=now).order_by("expires_at")
    passed = lots.filter(expires_at__lte=now).order_by("-expires_at")
    amount = lots.filter(expires_at=OuterRef("next_at")).order_by().values("wallet").annotate(sum=Sum("remaining"))
    rows = customers.annotate(
        balance=F("wallet__balance"),
        moved_at=F("wallet__changed_at"),
        site=F("merchant__website"),
        next_at=Subquery(coming.values("expires_at")[:1]),
        passed_at=Subquery(passed.values("expires_at")[:1]),
        next_coins=Subquery(amount.values("sum")),
    )
    for customer in rows:
        yield HostProfile(customer.ref, customer.recipient, _attributes(customer))


def _attributes(customer: Any) -> Mapping[str, Any]:
    """Return what is known of a customer, each group with the time of its last change. No wallet yet means no coins yet."""
    moved_at = customer.moved_at or customer.created_at
    values = {"nector_coins": customer.balance or 0, "nector_coins_as_of": moved_at}
    if customer.tier:
        values |= {"nector_tier": customer.tier, "nector_tier_as_of": customer.changed_at}
    if customer.referral_code:
        values |= {"nector_referral_code": customer.referral_code, "nector_referral_as_of": customer.changed_at}
        if customer.site:
            values["nector_referral_link"] = referral_link(customer.site, customer.referral_code)
    # Coins that expired, or were spent, leave a 0 behind: a provider keeps what it is not told to replace.
    values["nector_next_expiry_coins"] = customer.next_coins or 0
    values["nector_next_expiry_as_of"] = max(moved_at, customer.passed_at or moved_at)
    return values | ({"nector_next_expiry_at": customer.next_at} if customer.next_at else {})
