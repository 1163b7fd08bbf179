"""One person as two customers: choose the other one, see both side by side, make them one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.decorators import action

from events.admin.base import grouped, link, one
from events.admin.delivery_page import customer_deliveries
from events.lookups import of_customer
from events.models import EventDelivery
from integrations.audit import Act, note
from integrations.scope import scoped
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.base import LedgerAdmin
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.lookalikes import lookalikes
from nectorbridge.loyalty.models import Customer, MergedCustomer

FOUND = 20
COUNTED = 1000  # deliveries; of more it is enough to say so


@dataclass(frozen=True, slots=True)
class Candidate:
    """A customer who may be the same person, with the address of the confirmation."""

    customer: Customer
    url: str


class Merging(LedgerAdmin):
    """The verb on a customer's page, and where the pages of merged customers lead."""

    @action(description=gettext_lazy("Merge with another customer"), permissions=["move"], icon="merge", url_path="merge")
    def merge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET: search, choose, look (nothing changes). POST: make them one."""
        kept = one(self.get_queryset(request).select_related("merchant", "wallet"), object_id).first()
        if kept is None:
            raise Http404
        others = Customer.objects.filter(merchant=kept.merchant_id).exclude(pk=kept.pk).select_related("merchant", "wallet")
        if request.method == "POST":
            return self._merge(request, kept, self._chosen(others, request.POST.get("other", "")))
        wanted, query = request.GET.get("other", ""), request.GET.get("q", "").strip()
        other = self._chosen(others, wanted) if wanted else None
        found = [] if other or not query else self._search(kept, others, query)
        title = _("Merge with another customer")
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "original": kept,
            "title": title,
            "kept": kept,
            "other": other,
            "sides": [side_of(kept), side_of(other)] if other else [],
            "coins": kept.merchant.coin_name,
            "query": query,
            "found": found,
            "unknown": bool(wanted and not other) or bool(query and not found and not other),
            "proposed": [] if other else [Candidate(row, _address(kept, other=row.pk)) for row in lookalikes(kept)],
            "merge_url": _address(kept),
            "swap_url": _address(other, other=kept.pk) if other else "",
            "back_url": link("loyalty_customer_change", kept.pk),
        }
        return TemplateResponse(request, "loyalty/merge.html", context)

    def offers(self, verb: str, row: Any) -> bool:
        """Leave this verb to the page itself: its name is long."""
        return verb != "merge" and super().offers(verb, row)

    def _chosen(self, others: QuerySet[Customer], key: str) -> Customer | None:
        """Return the other customer: one of the same merchant, or nobody."""
        return one(others, key).first() if key.isascii() and key.isdecimal() else None

    def _search(self, kept: Customer, others: QuerySet[Customer], query: str) -> list[Candidate]:
        """Return the merchant's customers who fit what was typed, without the one whose page it is."""
        refs = [profile.ref for profile in LoyaltyHost().search_customers(kept.merchant_id, query, FOUND + 1)]
        rows = {row.ref: row for row in others.filter(pk__in=refs)}
        return [Candidate(rows[ref], _address(kept, q=query, other=ref)) for ref in refs if ref in rows][:FOUND]

    def _merge(self, request: HttpRequest, kept: Customer, other: Customer | None) -> HttpResponse:
        """Make them one and say so, or say why not."""
        if other is None:
            messages.error(request, _("There is no such customer any more. Search again."))
            return HttpResponseRedirect(_address(kept))
        name, key = str(other), other.pk
        try:
            kept = services.merge_customers(kept, other)
        except (ValueError, KeyError):  # merged by somebody else between our look and the lock
            messages.error(request, _("These two cannot be merged. Look at both again."))
            return HttpResponseRedirect(_address(kept))
        note(Act.MERGE, kept, other=key)
        self.log_change(request, kept, gettext_noop("Customer %(key)s was merged into this one.") % {"key": key})
        said = _("%(other)s and %(kept)s are one customer now.") % {"other": name, "kept": kept}
        address = customer_deliveries(kept.merchant_id, *kept.refs())
        watch = _("See what was sent to both")
        messages.success(request, format_html('{} <a class="underline" href="{}">{}</a>', said, address, watch))
        return HttpResponseRedirect(link("loyalty_customer_change", kept.pk))

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the page, or lead on from a customer who was merged into another one."""
        if object_id is not None and (kept := self._kept(request, object_id)) is not None:
            messages.info(request, _("The customer of that address was merged into this one."))
            return HttpResponseRedirect(link("loyalty_customer_change", kept))
        return super().changeform_view(request, object_id, *args, **kwargs)

    def _kept(self, request: HttpRequest, object_id: str) -> int | None:
        """Return the key of the customer into whom that one was merged, where the user may see them."""
        if not (object_id.isascii() and object_id.isdecimal()):
            return None
        rows = scoped(MergedCustomer.objects.filter(former_key=object_id), request.user, "customer__merchant")
        found: int | None = rows.values_list("customer", flat=True).first()
        return found


def _address(customer: Customer, **parameters: Any) -> str:
    """Return the address of the page on which that customer is merged with another one."""
    return link("loyalty_customer_merge", customer.pk, query=urlencode(parameters))


def side_of(customer: Customer) -> tuple[Customer, list[tuple[str, Any]]]:
    """Return a customer with what the confirmation says of them, as label and value."""
    wallet = getattr(customer, "wallet", None)
    sent = of_customer(EventDelivery.objects.all(), customer.merchant_id, *customer.refs())
    count = sent.order_by()[: COUNTED + 1].count()
    deliveries = grouped(count) if count <= COUNTED else _("more than %(count)s") % {"count": grouped(COUNTED)}
    return customer, [
        (_("Customer ID"), customer.customer_id or "-"),
        (_("Nector's ID"), customer.nector_id or "-"),
        (_("Email"), customer.email or "-"),
        (_("Mobile"), customer.phone or "-"),
        (_("Tier"), customer.tier or "-"),
        (_("Balance"), f"{grouped(wallet.balance if wallet else 0)} {customer.merchant.coin_name}"),
        (_("Coupons"), grouped(customer.coupons.count())),
        (_("Orders"), grouped(customer.orders.count())),
        (_("Reviews"), grouped(customer.reviews.count())),
        (_("Referrals"), grouped(customer.referrals.count())),
        (_("Deliveries"), deliveries),
    ]
