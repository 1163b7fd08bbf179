"""Retry and cancel, from the list for the selected and from a page for one. Always POST, always within the scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action

from events import verbs
from events.admin.base import go, link, one
from events.models import EventDelivery
from events.states import State
from integrations.scope import WRITING_ROLES, has_role, scoped

RETRY_DIALOG = {
    "title": gettext_lazy("Send this delivery again?"),
    "description": gettext_lazy(
        "It goes back into the queue with a fresh budget of tries; the tries so far stay in its history. "
        "If the provider did get it before, the customer may be written to twice."
    ),
    "form_submit_text": gettext_lazy("Retry"),
}
CANCEL_DIALOG = {
    "title": gettext_lazy("Withdraw this delivery?"),
    "description": gettext_lazy("It will not be sent. You can retry it later."),
    "form_submit_text": gettext_lazy("Withdraw"),
}


class DeliveryVerbs:
    """The verbs of the deliveries' admin."""

    actions = ("retry_selected", "cancel_selected")
    actions_detail = ("retry", "cancel")

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow acting to owners and managers; on one row, to those of its merchant."""
        if object_id is None:
            return has_role(request.user, *WRITING_ROLES)
        return one(self._mine(request), object_id).exists()

    def _mine(self, request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return the rows on which this user may act."""
        return scoped(EventDelivery.objects.all(), request.user, "merchant", writing=True)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer only what would do something in the delivery's present state."""
        state = one(self._mine(request), object_id).values_list("status", flat=True).first()
        offered = {"retry": state in verbs.RETRYABLE, "cancel": state in verbs.CANCELLABLE}
        found = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [item for item in found if offered.get(item.action_name.rpartition("_")[2], False)]

    @action(description=gettext_lazy("Retry"), permissions=["act"], icon="replay", url_path="retry", dialog=RETRY_DIALOG)
    def retry(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Put one failed or cancelled delivery back into the queue."""
        delivery = self._get(request, object_id)
        if not verbs.retry(delivery):
            messages.warning(request, _("Nothing was changed: its state has changed meanwhile."))
        else:
            delivery.refresh_from_db(fields=["status"])
            held = _("It is held until the integration can send again.")
            messages.success(request, held if delivery.status == State.HELD else _("It is back in the queue."))
        return go(request, link("events_eventdelivery_change", object_id))

    @action(description=gettext_lazy("Cancel"), permissions=["act"], icon="cancel", url_path="cancel", dialog=CANCEL_DIALOG)
    def cancel(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Withdraw one delivery that waits."""
        if verbs.cancel(self._get(request, object_id)):
            messages.success(request, _("It is withdrawn and will not be sent."))
        else:
            messages.warning(request, _("Too late: it is being sent, or is over, already."))
        return go(request, link("events_eventdelivery_change", object_id))

    def _get(self, request: HttpRequest, object_id: str) -> EventDelivery:
        """Return the row, if the user may act on it."""
        delivery = one(self._mine(request), object_id).first()
        if delivery is None:
            raise Http404
        return delivery

    @admin.action(description=gettext_lazy("Retry"), permissions=["act"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[EventDelivery]) -> None:
        """Retry the selected rows that failed or were cancelled."""
        done = self._each(request, queryset, verbs.retry)
        said = ngettext("%(count)d delivery is back in the queue.", "%(count)d deliveries are back in the queue.", done)
        self._report(request, said, done)

    @admin.action(description=gettext_lazy("Cancel"), permissions=["act"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[EventDelivery]) -> None:
        """Withdraw the selected rows that wait."""
        done = self._each(request, queryset, verbs.cancel)
        self._report(request, ngettext("%(count)d delivery is withdrawn.", "%(count)d deliveries are withdrawn.", done), done)

    def _each(self, request: HttpRequest, queryset: QuerySet[EventDelivery], verb: Callable[[EventDelivery], bool]) -> int:
        """Run a verb on each selected row within the scope. Return on how many it did something."""
        rows = scoped(queryset, request.user, "merchant", writing=True)
        return sum(verb(delivery) for delivery in rows.select_related(None).only("pk", "integration_id"))

    def _report(self, request: HttpRequest, said: str, done: int) -> None:
        """Tell what was done; nothing done is said as such."""
        if done:
            messages.success(request, said % {"count": done})
        else:
            messages.warning(request, _("Nothing was changed: none of the selected rows is in a state for that."))
