"""Retry, replay and cancel: from a delivery's page for one, from the list for those that are ticked.

Always POST, always within the scope, never without a question first. For all that the list matches: `delivery_bulk`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from events import verbs
from events.admin import again
from events.admin.base import go, link, one
from events.admin.delivery_filter import list_address
from events.bulk_filter import Counted
from events.models import EventDelivery, What
from events.replay import is_replayable, may_have_arrived, replay, replay_these
from events.states import State
from events.verbs import Fate
from integrations.audit import Act, note
from integrations.roles import WRITING_ROLES
from integrations.scope import has_role, scoped

MOST_TICKED = 500
CONFIRMED, TOKEN = "confirmed", "token"

RETRY_DIALOG = {
    "title": gettext_lazy("Send this delivery again?"),
    "description": gettext_lazy(
        "It goes back into the queue with a fresh budget of tries; the tries so far stay in its history. "
        "If the provider did get it before, the customer may be written to twice. "
        "A customer who unsubscribed meanwhile gets nothing."
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

    actions = ("retry_selected", "replay_selected", "cancel_selected")
    actions_detail = ("retry", "replay", "cancel")

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow acting to owners and managers; on one row, to those of its merchant."""
        if object_id is None:
            return has_role(request.user, *WRITING_ROLES)
        return self._row(request, object_id) is not None

    def _row(self, request: HttpRequest, object_id: Any) -> EventDelivery | None:
        """Return a row on which this user may act, with what decides about the verbs: read once, however many verbs ask."""
        rows: dict[str, EventDelivery | None] = request.__dict__.setdefault("_deliveries_to_act_on", {})
        key = str(object_id)
        if key not in rows:
            rows[key] = one(self._mine(request), object_id).only("status", "reason").first()
        return rows[key]

    def _mine(self, request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return the rows on which this user may act."""
        return scoped(EventDelivery.objects.all(), request.user, "merchant", writing=True)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer only what would do something in the delivery's present state."""
        row = self._row(request, object_id)
        offered = {
            "retry": row is not None and row.status in verbs.RETRYABLE,
            "replay": row is not None and is_replayable(row),
            "cancel": row is not None and row.status in verbs.CANCELLABLE,
        }
        found = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [item for item in found if offered.get(item.action_name.rpartition("_")[2], False)]

    # --- One ---------------------------------------------------------------------------------------------------------
    @action(description=gettext_lazy("Retry"), permissions=["act"], icon="replay", url_path="retry", dialog=RETRY_DIALOG)
    def retry(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Put one failed or cancelled delivery back into the queue."""
        delivery = self._get(request, object_id)
        fate = next(iter(verbs.retry_these([delivery.pk])))
        note(Act.RETRY, delivery, result=fate)
        words = {
            Fate.QUEUED: _("It is back in the queue."),
            Fate.HELD: _("It is held until the integration can send again."),
            Fate.WRONG_STATE: _("Nothing was changed: its state has changed meanwhile."),
        }
        say = messages.success if fate in verbs.TOUCHED else messages.warning
        say(request, words.get(Fate(fate)) or again.fate_words(fate))
        return go(request, link("events_eventdelivery_change", object_id))

    @action(description=gettext_lazy("Replay"), permissions=["act"], icon="forward", url_path="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then write one delivery anew and lead to the new one."""
        old = self._get(request, object_id)
        page = link("events_eventdelivery_change", object_id)
        if request.method != "POST":
            return self._ask_for_one(request, old, page)
        done = replay(old, _token(request))
        note(Act.REPLAY, old, result=done.fate)
        if done.delivery is None:
            messages.warning(request, again.fate_words(done.fate))
            return go(request, page)
        if done.fate in verbs.TOUCHED:
            words = {Fate.QUEUED: _("This is the replay. It is on its way."), Fate.HELD: again.fate_words(Fate.HELD)}
            messages.success(request, words[Fate(done.fate)])
        elif done.fate != Fate.REPLAYED:  # posted twice: the first answer stands already
            messages.warning(request, again.fate_words(done.fate))
        return go(request, link("events_eventdelivery_change", done.delivery.pk))

    def _ask_for_one(self, request: HttpRequest, old: EventDelivery, page: str) -> HttpResponse:
        """Show what a replay of this delivery means."""
        able = is_replayable(old)
        words = {
            State.SENT: _("This delivery was sent already. The customer may get the message twice."),
            State.SKIPPED: _("This delivery was skipped: %(reason)s.") % {"reason": old.get_reason_display()},
        }
        uncertain = _("Nobody knows whether this delivery arrived. The customer may get the message twice.")
        warning = words.get(State(old.status)) or (uncertain if may_have_arrived([old]) else "")
        question = again.Question(
            title=_("Replay “%(name)s”?") % {"name": old.event_name},
            what=What.REPLAY,
            number=int(able),
            button=again.button_of(What.REPLAY),
            back=page,
            means=_(
                "It is written anew, as a delivery of its own with its own links, and sent. This one stays as it is, and both "
                "pages lead to each other."
            ),
            warning=str(warning) if able else _("It waits, or the event's own rules left it out: there is nothing to replay."),
            hidden=[(TOKEN, str(uuid.uuid4()))],
        )
        return again.ask(request, self.admin_site.each_context(request), question)  # type: ignore[attr-defined]

    @action(description=gettext_lazy("Cancel"), permissions=["act"], icon="cancel", url_path="cancel", dialog=CANCEL_DIALOG)
    def cancel(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Withdraw one delivery that waits."""
        delivery = self._get(request, object_id)
        if verbs.cancel(delivery):
            note(Act.CANCEL, delivery)
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

    # --- Those that are ticked ---------------------------------------------------------------------------------------
    @admin.action(description=gettext_lazy("Retry"), permissions=["act"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[EventDelivery]) -> HttpResponse | None:
        """Retry the selected rows that failed or were cancelled."""
        return self._ticked(request, queryset, What.RETRY)

    @admin.action(description=gettext_lazy("Replay"), permissions=["act"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[EventDelivery]) -> HttpResponse | None:
        """Replay the selected rows that are over."""
        return self._ticked(request, queryset, What.REPLAY)

    @admin.action(description=gettext_lazy("Cancel"), permissions=["act"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[EventDelivery]) -> HttpResponse | None:
        """Withdraw the selected rows that wait."""
        return self._ticked(request, queryset, What.CANCEL)

    def _ticked(self, request: HttpRequest, queryset: QuerySet[EventDelivery], what: What) -> HttpResponse | None:
        """Ask about the selected rows within the scope; once the question is answered, act."""
        rows = scoped(queryset.select_related(None), request.user, "merchant", writing=True)
        found = list(rows.only("status", "reason", "uncertain_count").order_by("pk")[: MOST_TICKED + 1])
        if len(found) > MOST_TICKED:
            messages.warning(request, _("These are too many to tick. Use “All that match” above the list."))
            return None
        if request.POST.get(CONFIRMED):
            again.report(request, self._act(what, [row.pk for row in found], _token(request)))
            return None
        fits: dict[str, Callable[[EventDelivery], bool]] = {
            What.RETRY: lambda row: row.status in verbs.RETRYABLE,
            What.REPLAY: is_replayable,
            What.CANCEL: lambda row: row.status in verbs.CANCELLABLE,
        }
        able = [row for row in found if fits[what](row)]
        others = len(found) - len(able)
        question = again.Question(
            title=again.title_of(what, Counted(len(able))),
            what=what,
            number=len(able),
            button=again.button_of(what),
            back=list_address(request.GET),
            means=str(again.MEANS[what]),
            warning=again.arrived_warning(what, Counted(may_have_arrived(able))),
            notes=[_("%(count)d of the ticked ones stay as they are: their state does not allow it.") % {"count": others}]
            if others
            else [],
            hidden=[
                ("action", f"{what}_selected"),
                (CONFIRMED, "1"),
                (TOKEN, str(uuid.uuid4())),
                *((ACTION_CHECKBOX_NAME, str(row.pk)) for row in able),
            ],
        )
        return again.ask(request, self.admin_site.each_context(request), question)  # type: ignore[attr-defined]

    def _act(self, what: What, ids: list[uuid.UUID], token: str) -> Counter[str]:
        """Do it to these rows."""
        touched = EventDelivery.objects.filter(pk__in=ids).order_by().values_list("merchant").annotate(Count("pk"))
        for merchant, number in touched:
            note(what, merchant=merchant, number=number)
        if what == What.REPLAY:
            return replay_these(ids, token)
        return verbs.retry_these(ids) if what == What.RETRY else verbs.cancel_these(ids)


def _token(request: HttpRequest) -> str:
    """Return the form's own token; a request without one is one of its own."""
    try:
        return str(uuid.UUID(request.POST.get(TOKEN, "")))
    except ValueError:
        return str(uuid.uuid4())
