"""All that a list of deliveries matches, not only the ticked rows: retry, replay or cancel it, or take it along as CSV."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from events import bulk
from events.admin import again, delivery_export
from events.admin.base import link
from events.admin.bulk_progress import progress_of, summary_of
from events.admin.csv_file import download
from events.admin.delivery_filter import UnreadableFilter, filter_of, list_address, merchants_within, words_of
from events.bulk_filter import Counted, DeliveryFilter
from events.models import BulkAction, BulkState, What
from events.states import Reason, State
from integrations.audit import Act, note
from integrations.models import Merchant
from integrations.roles import WRITING_ROLES
from integrations.scope import has_role, merchants_of, scoped, writable_merchants_of

MOST_MERCHANTS = 20  # one run each
RUNS_SHOWN = 3
OWN_RUNS = "bulk_runs"  # in the session: what this person began
ARRIVED = Q(status=State.SENT) | Q(uncertain_count__gt=0) | Q(reason=Reason.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Share:
    """What of the filter is one merchant's."""

    merchant: Merchant
    counted: Counted


class DeliveryBulk:
    """The pages of the deliveries' admin for everything that the list matches."""

    list_before_template = "events/bulk_bar.html"

    def get_urls(self) -> list[Any]:
        """Add a page a verb, and the export."""
        wrap = self.admin_site.admin_view  # type: ignore[attr-defined]
        return [
            path("all/<str:what>/", wrap(self.all_that_match), name="events_eventdelivery_all"),
            path("export/", wrap(self.export), name="events_eventdelivery_export"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Offer what can be done to all that match, and show what is under way."""
        query = request.GET.urlencode()
        may_act = has_role(request.user, *WRITING_ROLES)
        verbs = [(what.label, link("events_eventdelivery_all", what, query=query), again.ICONS[what]) for what in What]
        shown = {
            "bulk_verbs": verbs if may_act else [],
            "bulk_export": link("events_eventdelivery_export", query=query),
            "bulk_runs": link("events_bulkaction_changelist"),
            "bulk_running": [(summary_of(run), progress_of(run), _page(run)) for run in self._under_way(request)],
        }
        return super().changelist_view(request, {**shown, **(extra_context or {})})  # type: ignore[misc]

    def _under_way(self, request: HttpRequest) -> list[BulkAction]:
        """Return the user's own runs that are not over; nobody else's list pays a query for them."""
        keys = request.session.get(OWN_RUNS, [])
        if not keys:
            return []
        rows = BulkAction.objects.filter(pk__in=keys, state=BulkState.RUNNING)
        found = list(scoped(rows, request.user, "merchant")[:RUNS_SHOWN])
        if not found:
            del request.session[OWN_RUNS]
        return found

    # --- Retry, replay, cancel ---------------------------------------------------------------------------------------
    def all_that_match(self, request: HttpRequest, what: str) -> HttpResponse:
        """Say how many it would touch, and ask; answered, begin one run for each merchant."""
        if what not in What.values:
            raise Http404
        if not has_role(request.user, *WRITING_ROLES):
            raise PermissionDenied
        back = list_address(request.GET)
        try:
            wanted = filter_of(request)
        except UnreadableFilter as error:
            messages.warning(request, _unreadable(error))
            return HttpResponseRedirect(back)
        merchants = merchants_within(request, wanted, writable_merchants_of(request.user), MOST_MERCHANTS)
        if len(merchants) > MOST_MERCHANTS:
            messages.warning(request, _("These are deliveries of many merchants. Filter the list to one integration first."))
            return HttpResponseRedirect(back)
        if request.method == "POST":
            return self._start(request, What(what), wanted, merchants, back)
        return self._ask(request, What(what), wanted, merchants, back)

    def _ask(
        self, request: HttpRequest, what: What, wanted: DeliveryFilter, merchants: list[Merchant], back: str
    ) -> HttpResponse:
        """Show how many it would touch, and what that means."""
        shares = [Share(row, bulk.count(what, wanted.of(row.pk))) for row in merchants]
        shares = [share for share in shares if share.counted.number or share.counted.is_more]
        counted = _sum(share.counted for share in shares)
        notes = [_("It runs in the background, from the oldest to the newest; you can leave the page, or stop it.")]
        notes += [_("What is recorded from now on is not touched.")]
        if len(shares) > 1:
            each = (f"{share.merchant}: {again.number_words(share.counted)}" for share in shares)
            notes.append(_("One run for each merchant: %(list)s.") % {"list": ", ".join(each)})
        nothing = _("The list matches nothing whose state allows it.")
        question = again.Question(
            title=again.title_of(what, counted),
            what=what,
            number=counted.number or int(counted.is_more),
            button=again.button_of(what),
            back=back,
            means=str(again.MEANS[what]),
            which=words_of(request, wanted) or [(_("Filter"), _("none: all deliveries"))],
            warning=again.arrived_warning(what, self._arrived(what, wanted, shares)) if shares else nothing,
            notes=notes if shares else [],
            hidden=[("token", str(uuid.uuid4()))],
        )
        return again.ask(request, self.admin_site.each_context(request), question)  # type: ignore[attr-defined]

    def _arrived(self, what: What, wanted: DeliveryFilter, shares: list[Share]) -> Counted:
        """Return how many of them the provider has, or may have, already."""
        if what == What.CANCEL:
            return Counted(0)
        mine = [wanted.of(share.merchant.pk) for share in shares]
        return _sum(bulk.count_of(bulk.able(what, each).filter(ARRIVED), each) for each in mine)

    def _start(
        self, request: HttpRequest, what: What, wanted: DeliveryFilter, merchants: list[Merchant], back: str
    ) -> HttpResponse:
        """Begin the runs and lead to them."""
        try:
            token = uuid.UUID(request.POST.get("token", ""))
        except ValueError:
            token = uuid.uuid4()
        runs = [run for row in merchants if (run := bulk.start(what, wanted, row, request.user, token)) is not None]
        for run in runs:
            self.log_change(request, run, gettext_noop("Started."))  # type: ignore[attr-defined]
        if not runs:
            messages.warning(request, _("The list matches nothing whose state allows it."))
            return HttpResponseRedirect(back)
        request.session[OWN_RUNS] = [run.pk for run in runs]
        messages.success(request, _("Started. You can leave this page: it goes on in the background."))
        return HttpResponseRedirect(_page(runs[0]) if len(runs) == 1 else link("events_bulkaction_changelist"))

    # --- Export ------------------------------------------------------------------------------------------------------
    def export(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Stream all that match as CSV: what the list shows, and nothing more of a customer than it shows."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        try:
            wanted = filter_of(request)
        except UnreadableFilter as error:
            messages.warning(request, _unreadable(error))
            return HttpResponseRedirect(list_address(request.GET))
        merchants = merchants_within(request, wanted, merchants_of(request.user), MOST_MERCHANTS)
        for merchant in merchants if len(merchants) <= MOST_MERCHANTS else [None]:  # of all: administrators find it
            note(Act.EXPORT, merchant=merchant, what=gettext_noop("deliveries"))
        lines = delivery_export.lines(scoped(wanted.rows(), request.user, "merchant"), wanted)
        name = f"deliveries-{timezone.now():%Y-%m-%d-%H%M}.csv"
        return download(name, lines)


def _unreadable(error: UnreadableFilter) -> str:
    """Return why nothing is done to a list that is filtered in a way that is not known here."""
    words = _("This list is filtered by “%(name)s”, which cannot be applied to all. Take that filter away first.")
    return words % {"name": str(error)[:60]}


def _page(run: BulkAction) -> str:
    """Return the address of a run's page."""
    return link("events_bulkaction_change", run.pk)


def _sum(counts: Iterable[Counted]) -> Counted:
    """Return several merchants' counts as one; beyond the limit it is no number any more."""
    found = list(counts)
    number = sum(counted.number for counted in found)
    return Counted(min(number, bulk.COUNT_LIMIT), number > bulk.COUNT_LIMIT or any(counted.is_more for counted in found))
