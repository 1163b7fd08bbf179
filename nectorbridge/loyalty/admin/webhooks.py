"""Nector's door: its address and secrets with the steps at Nector, what came through it, and what it became."""

from __future__ import annotations

import json
import secrets as random_secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events import triggers
from events.admin.base import PageMixin, go, link, local, one, rendered, view_of
from events.admin.filters import ScopedDropdownFilter
from events.models import EventDefinition
from integrations.admin.catalogue import chosen_merchant
from integrations.audit import Act, note
from integrations.fields import SecretUnreadable
from integrations.kept_words import said
from integrations.models import HmacMode, Merchant, new_token
from integrations.scope import NeverEdited, ScopedAdmin, merchants_of, writable_merchants_of
from nectorbridge.loyalty.models import DoorRefusal, ReceiptState, Refusal, WebhookReceipt
from nectorbridge.loyalty.nector import inbox

TONES = {
    ReceiptState.WAITING.value: "info",
    ReceiptState.DONE.value: "success",
    ReceiptState.UNHEARD.value: "warning",
    ReceiptState.FAILED.value: "danger",
}
SHORTEST_SECRET, LONGEST_SECRET = 16, 200
RUN_AGAIN_DIALOG = {
    "title": gettext_lazy("Run this webhook again?"),
    "description": gettext_lazy("What it wrote before is not written twice."),
    "form_submit_text": gettext_lazy("Run again"),
}
TOPICS_SHOWN, REFUSALS_SHOWN = 20, 10
DOOR = "loyalty_nector_door"


@dataclass(frozen=True, slots=True)
class Refused:
    """Requests that were turned away: why, how many, and when the last one was."""

    reason: Any
    count: int
    last: str


@admin.register(WebhookReceipt)
class WebhookReceiptAdmin(NeverEdited, PageMixin, ScopedAdmin):
    """What came. Nobody writes here; what failed can be run again."""

    merchant_path = "merchant"
    staff_may = frozenset({"view"})
    list_display = ("when", "topic", "outcome", "what_happened", "whose")
    list_select_related = ("merchant",)
    list_filter = (("merchant", ScopedDropdownFilter), ("state", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("=topic", "=delivery_id", "=customer_ref")
    search_help_text = gettext_lazy("Whole topic or delivery ID")
    sortable_by = ()
    ordering = ("-id",)
    actions = ("run_again",)
    actions_detail = ("run_this_again",)
    actions_list = ("open_door",)
    fields = (
        "topic",
        "state_word",
        "what_happened",
        "when",
        "sent",
        "delivery_id",
        "source",
        "hmac",
        "tries",
        "whose",
        "content",
    )
    readonly_fields = fields
    empty_icon = "webhook"
    empty_title = gettext_lazy("No webhook has come yet")
    empty_text = gettext_lazy("Once Nector knows your address, whatever happens there shows up here within seconds.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the address."""
        return link(DOOR), _("Set up Nector's webhooks")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookReceipt]:
        """Return the user's, with their merchants."""
        rows: QuerySet[WebhookReceipt] = super().get_queryset(request).select_related("merchant")
        return rows

    def get_urls(self) -> list[Any]:
        """Add the page of the door."""
        own = path("door/", self.admin_site.admin_view(self.door_view), name=DOOR)
        return [own, *super().get_urls()]

    # --- Columns ------------------------------------------------------------------------------------------------------
    @display(description=gettext_lazy("when"))
    def when(self, receipt: WebhookReceipt) -> str:
        """Return when it came, on the merchant's clock."""
        return local(receipt.received_at, receipt.merchant.timezone)

    @display(description=gettext_lazy("sent by Nector"))
    def sent(self, receipt: WebhookReceipt) -> str:
        """Return when Nector says that it sent it."""
        return local(receipt.sent_at, receipt.merchant.timezone) or _("It does not say.")

    @display(description=gettext_lazy("state"), label=TONES)
    def outcome(self, receipt: WebhookReceipt) -> tuple[str, str]:
        """Return the state as a coloured word."""
        return receipt.state, receipt.get_state_display()

    @display(description=gettext_lazy("state"))
    def state_word(self, receipt: WebhookReceipt) -> str:
        """Return the state as a word."""
        return receipt.get_state_display()

    @display(description=gettext_lazy("what happened"))
    def what_happened(self, receipt: WebhookReceipt) -> str:
        """Return what it became, or why nothing."""
        return said(receipt.detail) or _("It waits for its turn.")

    @display(description=gettext_lazy("customer"))
    def whose(self, receipt: WebhookReceipt) -> Any:
        """Link to the customer."""
        if not receipt.customer_ref:
            return "-"
        return format_html(
            '<a class="text-link" href="{}">{}</a>',
            link("loyalty_customer_change", receipt.customer_ref),
            pgettext("go there", "Open"),
        )

    @display(description=gettext_lazy("body"))
    def content(self, receipt: WebhookReceipt) -> Any:
        """Return the body as it came."""
        text = json.dumps(receipt.body, indent=2, ensure_ascii=False)
        return format_html('<pre class="nb-snippet whitespace-pre-wrap break-all">{}</pre>', text)

    # --- Verbs --------------------------------------------------------------------------------------------------------
    def has_run_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow running again to owners and managers."""
        mine = writable_merchants_of(request.user)
        return mine.exists() if object_id is None else one(WebhookReceipt.objects.filter(merchant__in=mine), object_id).exists()

    @action(description=gettext_lazy("Run again"), permissions=["run"])
    def run_again(self, request: HttpRequest, rows: QuerySet[WebhookReceipt]) -> None:
        """Work on the chosen ones once more; what they wrote before is not written twice."""
        mine = writable_merchants_of(request.user)
        count = inbox.RECEIPTS.run_again(WebhookReceipt.objects.filter(pk__in=rows.values("pk"), merchant__in=mine))
        for merchant in mine.filter(pk__in=rows.order_by().values("merchant")):
            note(Act.RUN_AGAIN, merchant=merchant, what=gettext_noop("webhooks"))
        words = ngettext("%(count)s webhook is worked on again.", "%(count)s webhooks are worked on again.", count)
        messages.success(request, words % {"count": count})

    @action(
        description=gettext_lazy("Run again"), permissions=["run"], icon="replay", url_path="run-again", dialog=RUN_AGAIN_DIALOG
    )
    def run_this_again(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Work on this one once more."""
        inbox.RECEIPTS.run_again(one(WebhookReceipt.objects.filter(merchant__in=writable_merchants_of(request.user)), object_id))
        note(Act.RUN_AGAIN, self.get_object(request, object_id), what=gettext_noop("webhooks"))
        messages.success(request, _("The webhook is worked on again."))
        return go(request, link("loyalty_webhookreceipt_change", object_id))

    @action(description=gettext_lazy("Address and secret"), icon="key", url_path="to-door")
    def open_door(self, request: HttpRequest) -> HttpResponse:
        """Lead to the page of the door."""
        return go(request, link(DOOR))

    # --- The door -----------------------------------------------------------------------------------------------------
    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    def door_view(self, request: HttpRequest) -> HttpResponse:
        """Show address, secrets and what comes (GET), or change the secret, the address or how the HMAC is taken (POST)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        merchant, shown = chosen_merchant(request), ""
        if request.method == "POST":
            if merchant is None:
                raise Http404
            if not writable_merchants_of(request.user).filter(pk=merchant.pk).exists():
                raise PermissionDenied
            shown = _change(request, merchant)
        title = _("Nector webhooks")
        context = self.admin_site.each_context(request) | {"opts": self.opts, "title": title, "merchant": merchant}
        if merchant is not None:
            context |= _about(request, merchant, shown)
        with timezone.override(view_of(request).zone):
            return rendered(TemplateResponse(request, "loyalty/door.html", context))


@sensitive_variables()
def _change(request: HttpRequest, merchant: Merchant) -> str:
    """Do what the form asks for. Returns a secret that is shown this once, as it must be pasted at Nector."""
    verb = request.POST.get("verb", "")
    with transaction.atomic():
        merchant = Merchant.objects.select_for_update().get(pk=merchant.pk)
        if verb == "secret":
            typed = request.POST.get("secret", "").strip()
            if typed and not (SHORTEST_SECRET <= len(typed) <= LONGEST_SECRET and typed.isprintable()):
                words = _("A secret has %(least)s to %(most)s characters. Leave it empty to have one made.")
                messages.error(request, words % {"least": SHORTEST_SECRET, "most": LONGEST_SECRET})
                return ""
            secret = typed or random_secrets.token_urlsafe(32)
            merchant.nector_webhook_secret = secret
            merchant.save(update_fields=["sealed_nector_secrets"])
            note(Act.SECRET, merchant, fields=[gettext_noop("Nector webhook secret")])
            messages.success(request, _("The secret is valid from now on, beside those that were valid before."))
            return "" if typed else secret
        if verb == "keep":
            try:
                merchant.nector_secrets = dict(list(merchant.nector_secrets.items())[-1:])
            except SecretUnreadable:
                return ""  # the page says so, and what to do
            merchant.save(update_fields=["sealed_nector_secrets"])
            note(Act.SECRET, merchant, fields=[gettext_noop("former Nector webhook secrets")])
            messages.success(request, _("Only the newest secret is valid now."))
        elif verb == "mode" and request.POST.get("mode") in HmacMode.values:
            merchant.nector_hmac_mode = request.POST["mode"]
            merchant.save(update_fields=["nector_hmac_mode"])
            note(Act.CHANGED, merchant, fields=[gettext_noop("HMAC of webhooks")], mode=merchant.nector_hmac_mode)
            messages.success(request, _("Saved."))
        elif verb == "address":
            merchant.nector_webhook_token = new_token()
            merchant.save(update_fields=["nector_webhook_token"])
            note(Act.SECRET, merchant, fields=[gettext_noop("Nector webhook address")])
            messages.success(request, _("The address is a new one; the former one answers nobody any more. Paste it at Nector."))
    return ""


def _about(request: HttpRequest, merchant: Merchant, shown: str) -> dict[str, Any]:
    """Return what the page shows of one merchant's door."""
    merchant.refresh_from_db()
    try:
        found = merchant.nector_secrets
        kept = [(local(datetime.fromisoformat(at), merchant.timezone), f"••••{value[-4:]}") for at, value in found.items()]
        is_unreadable = False
    except SecretUnreadable:
        kept, is_unreadable = [], True
    receipts = WebhookReceipt.objects.filter(merchant=merchant)
    last = receipts.order_by("-id").only("received_at", "topic").first()
    address = reverse("loyalty:nector_webhook", args=[merchant.nector_webhook_token])
    refusals = DoorRefusal.objects.filter(merchant=merchant).order_by("-last_at")[:REFUSALS_SHOWN]
    return {
        "merchants": list(merchants_of(request.user)[:500]),
        "may_change": writable_merchants_of(request.user).filter(pk=merchant.pk).exists(),
        "address": f"{settings.PUBLIC_URL.rstrip('/')}{address}",
        "shown": shown,
        "secrets": kept,
        "is_unreadable": is_unreadable,
        "modes": HmacMode.choices,
        "mode": merchant.nector_hmac_mode,
        "last": last,
        "last_at": local(last.received_at, merchant.timezone) if last else "",
        "failed": receipts.filter(state=ReceiptState.FAILED)[:1000].count(),
        "list_url": link("loyalty_webhookreceipt_changelist", query=f"merchant__id__exact={merchant.pk}"),
        "failed_url": link("loyalty_webhookreceipt_changelist", query=f"merchant__id__exact={merchant.pk}&state__exact=failed"),
        "unheard": _unheard(merchant),
        "refusals": [Refused(Refusal(row.reason).label, row.count, local(row.last_at, merchant.timezone)) for row in refusals],
    }


def _unheard(merchant: Merchant) -> list[dict[str, Any]]:
    """Return topics that came and that no event is made of, with how often and where to make one."""
    rows = WebhookReceipt.objects.filter(merchant=merchant, state=ReceiptState.UNHEARD).order_by()
    found = rows.values("topic").annotate(count=Count("pk"), last=Max("received_at")).order_by("-last")[:TOPICS_SHOWN]
    heard = set(EventDefinition.objects.filter(integration__merchant=merchant).values_list("trigger", flat=True))
    return [
        {
            "topic": row["topic"],
            "words": ngettext("once", "%(count)s times", row["count"]) % {"count": row["count"]},
            "last": local(row["last"], merchant.timezone),
            "url": link("events_eventdefinition_add", query=f"trigger={triggers.custom(row['topic'])}")
            if triggers.is_custom(triggers.custom(row["topic"])) and triggers.custom(row["topic"]) not in heard
            else "",
        }
        for row in found
    ]
