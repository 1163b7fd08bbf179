"""What the shop answers the outbox: who its customers are, what they have, and whether they want mail."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django.db.models import Q, QuerySet

from events.host import Consent, ConsentNews, Host, HostProfile
from shop.models import Customer
from shop.services import recipient_of

ANSWERS = {True: Consent.SUBSCRIBED, False: Consent.UNSUBSCRIBED}
MAIL = ("", "email")  # asked about any channel, the shop answers for the one it knows


class ShopHost(Host):
    """The shop's customers. A reference is their key, as text. What is not answered here, the base class answers with nothing."""

    def search_customers(self, merchant_id: int, query: str, limit: int = 20) -> Sequence[HostProfile]:
        """Return whose email or name begins so; an exact email first."""
        mine = Customer.objects.filter(merchant_id=merchant_id)
        exact = mine.filter(email__iexact=query)
        others = mine.filter(Q(email__istartswith=query) | Q(name__istartswith=query)).exclude(email__iexact=query)
        return [*_profiles(exact[:limit]), *_profiles(others[:limit])][:limit]

    def count_customers(self, merchant_id: int) -> int:
        """Return how many there are."""
        return Customer.objects.filter(merchant_id=merchant_id).count()

    def profiles(
        self, merchant_id: int, refs: Collection[str] | None = None, after: str = "", limit: int = 500
    ) -> Sequence[HostProfile]:
        """Return these, or the next ones by key."""
        mine = Customer.objects.filter(merchant_id=merchant_id).order_by("pk")
        if refs is not None:
            return _profiles(mine.filter(pk__in=_keys(refs)))
        return _profiles(mine.filter(pk__gt=int(after or 0))[:limit])

    def changed_since(self, merchant_id: int, since: datetime, limit: int = 5000) -> tuple[Sequence[str], datetime | None]:
        """Return who changed, oldest change first. Where the answer is cut, it reaches to the last of them."""
        mine = Customer.objects.filter(merchant_id=merchant_id, changed_at__gte=since).order_by("changed_at", "pk")
        rows = list(mine.values_list("pk", "changed_at")[: limit + 1])
        if len(rows) <= limit:
            return [str(pk) for pk, _ in rows], None
        reached = rows[limit - 1][1]
        whole = mine.filter(changed_at__lte=reached).values_list("pk", flat=True)  # all of the last moment
        return [str(pk) for pk in whole], reached

    def merchants_changed_since(self, since: datetime) -> Collection[int]:
        """Return whose customers changed."""
        return set(Customer.objects.filter(changed_at__gte=since).values_list("merchant_id", flat=True))

    def consents(self, merchant_id: int, refs: Collection[str], channel: str = "") -> Mapping[str, str]:
        """Return who said yes or no to mail. Who was never asked is left out: unknown is no refusal."""
        if channel not in MAIL:
            return {}
        said = Customer.objects.filter(merchant_id=merchant_id, pk__in=_keys(refs), reads_mail__isnull=False)
        return {str(pk): ANSWERS[bool(reads)] for pk, reads in said.values_list("pk", "reads_mail")}

    def unsubscribed_since(self, since: datetime) -> Mapping[int, Collection[str]]:
        """Return who said no lately; whoever changed otherwise since is named too, which costs a look and no more."""
        found: dict[int, set[str]] = {}
        for merchant_id, pk in Customer.objects.filter(changed_at__gte=since, reads_mail=False).values_list("merchant_id", "pk"):
            found.setdefault(merchant_id, set()).add(str(pk))
        return found

    def on_consent_change(self, merchant_id: int, news: Sequence[ConsentNews]) -> Collection[str]:
        """Keep what came back about mail. A later change of the customer is not overwritten."""
        kept = set()
        for item in news:
            if item.channel in MAIL and item.answer in ANSWERS.values() and (keys := _keys([item.ref])):
                mine = Customer.objects.filter(merchant_id=merchant_id, pk__in=keys)
                for customer in mine.filter(changed_at__lte=item.occurred_at):
                    customer.reads_mail = item.answer == Consent.SUBSCRIBED
                    customer.save(update_fields=["reads_mail", "changed_at"])
                if mine.exists():
                    kept.add(item.ref)
        return kept


def _keys(refs: Collection[str]) -> list[int]:
    """Return the keys among references; a foreign one has none."""
    return [int(ref) for ref in refs if ref.isascii() and ref.isdigit()]


def _profiles(rows: QuerySet[Customer]) -> list[HostProfile]:
    """Return customers as the outbox sees them."""
    return [
        HostProfile(str(row.pk), recipient_of(row), {"nector_coins": row.points, "nector_coins_as_of": row.changed_at})
        for row in rows
    ]
