"""“Send test event”: choose an existing customer, look at the exact request, send it, see the answer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from events import trial
from events.admin.base import link, local, one
from events.admin.look import LOOK
from events.admin.pages import DefinitionPages, tabs
from events.admin.requests import rehearsal, spoken
from events.drain import send_now
from events.host import HostProfile
from events.models import CallKind, DeliveryAttempt, EventDefinition, EventDelivery
from events.states import State
from events.timeline import timeline
from integrations.audit import Act, note
from integrations.kept_words import said

REFRESHES_FOR = timedelta(minutes=2)  # after that the page waits for a click
ON_ITS_WAY = (State.QUEUED, State.SENDING)


@dataclass(frozen=True, slots=True)
class Found:
    """A customer in the list of results."""

    profile: HostProfile
    url: str
    is_identified: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a test, in words."""

    title: str
    text: str
    tone: str
    icon: str


def verdict(delivery: EventDelivery, attempts: list[DeliveryAttempt]) -> Verdict:
    """Return what came of a test: where it stands, or what its last try meant."""
    provider = delivery.integration.label
    tone, icon = LOOK.get(delivery.status, ("", "help"))
    if delivery.status == State.SENT:
        text = _("Look there for “%(name)s”; a journey can start from it.") % {"name": delivery.event_name}
        return Verdict(_("%(provider)s accepted the test event") % {"provider": provider}, text, tone, icon)
    if delivery.status == State.SENDING:
        return Verdict(_("It is being sent"), _("A worker has taken it, and its answer is not here yet."), tone, icon)
    if delivery.status == State.QUEUED and not attempts:
        return Verdict(_("It waits for its turn"), _("Other events of this integration are under way."), tone, icon)
    last = timeline(delivery, attempts, timezone.now())[-1]
    answers = [f"{attempt.error_code}: {said(attempt.error_message)}".strip(": ") for attempt in attempts[-1:]]
    return Verdict(last.title, " ".join(part for part in (*answers, last.text) if part), tone, icon)


def is_of_profile(attempt: DeliveryAttempt) -> bool:
    """Tell whether a try ended with the customer's profile, before the event could leave."""
    return attempt.call is not None and attempt.call.kind == CallKind.CONTACT


class TrialMixin(DefinitionPages):
    """The test page of one event."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the page."""
        return [*super().own_paths(), ("<path:object_id>/test/", self.test_view, "events_eventdefinition_test")]

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET: search, choose, look (nothing is sent or written). POST: send, or note what came of what was sent."""
        definition = self.find(request, object_id)
        if request.method == "POST":
            if not self.has_change_permission(request, definition):
                raise PermissionDenied
            return self._look_again(request, definition) if "look" in request.POST else self._send(request, definition)
        delivery = self._sent(definition, request.GET.get("delivery", ""))
        context = self._result(delivery) if delivery else self._choice(definition, request)
        shared = {
            "definition": definition,
            "seen": local(definition.seen_at, definition.integration.merchant.timezone),
            "opts": self.opts,
            "original": definition,
            "title": _("Send test event: %(name)s") % {"name": definition.name},
            "tabs": tabs(definition, definition.integration, "test"),
            "may_send": self.has_change_permission(request, definition),
            "caveats": definition.integration.contract.guide.caveats,
            "test_url": link("events_eventdefinition_test", definition.pk),
            "journey_url": link("events_eventdefinition_journey", definition.pk),
            "launch_url": link("events_launch", definition.integration_id),
        }
        return self.page(request, "events/test.html", definition.integration, shared | context)

    # --- Before -------------------------------------------------------------------------------------------------------
    def _choice(self, definition: EventDefinition, request: HttpRequest) -> dict[str, Any]:
        """Return the search, its results, and the chosen customer with the request that would leave."""
        now, integration, query = timezone.now(), definition.integration, request.GET.get("q", "").strip()
        ref = request.GET.get("customer", "")
        chosen = trial.customer(definition, ref)
        found = [] if chosen else [self._found(definition, profile, query) for profile in trial.search(definition, query)]
        context: dict[str, Any] = {
            "query": query,
            "found": found,
            "unknown": not chosen and not found and (query or ref),
            "property": trial.property_label(integration),
            "refusal": trial.refusal(integration, now),
        }
        if chosen:
            identified = trial.is_identified(integration, chosen)
            context |= {"chosen": chosen, "person": trial.recipient_of(chosen), "is_identified": identified}
            context |= {"preview": rehearsal(definition, chosen, now), "token": uuid.uuid4()} if identified else {}
        return context

    def _found(self, definition: EventDefinition, profile: HostProfile, query: str) -> Found:
        """Return one result with its address."""
        address = link("events_eventdefinition_test", definition.pk, query=urlencode({"q": query, "customer": profile.ref}))
        return Found(profile, address, trial.is_identified(definition.integration, profile))

    # --- Sending ------------------------------------------------------------------------------------------------------
    def _send(self, request: HttpRequest, definition: EventDefinition) -> HttpResponse:
        """Write one test delivery and send it in this process, or say why not."""
        address = link("events_eventdefinition_test", definition.pk)
        ref = request.POST.get("customer", "")
        chosen = trial.customer(definition, ref)
        if chosen is None or not trial.is_identified(definition.integration, chosen):
            return HttpResponseRedirect(f"{address}?{urlencode({'customer': ref})}")  # the page says why
        if refused := trial.refusal(definition.integration, timezone.now()):
            messages.error(request, refused)
            return HttpResponseRedirect(f"{address}?{urlencode({'customer': ref})}")
        delivery = trial.write(definition, chosen, request.POST.get("token", ""))
        send_now(delivery)
        trial.note_seen(delivery)
        note(Act.TEST, definition)
        self.log_change(request, definition, gettext_noop("Sent a test event."))
        return HttpResponseRedirect(f"{address}?{urlencode({'delivery': delivery.pk})}")

    def _look_again(self, request: HttpRequest, definition: EventDefinition) -> HttpResponse:
        """Note on the event what came of a test that a worker sent meanwhile."""
        delivery = self._sent(definition, request.POST.get("look", ""))
        address = link("events_eventdefinition_test", definition.pk)
        if delivery is None:
            return HttpResponseRedirect(address)
        trial.note_seen(delivery)
        return HttpResponseRedirect(f"{address}?{urlencode({'delivery': delivery.pk})}")

    # --- After --------------------------------------------------------------------------------------------------------
    def _sent(self, definition: EventDefinition, key: str) -> EventDelivery | None:
        """Return a test of this very event."""
        rows = EventDelivery.objects.filter(definition=definition, is_test=True)
        return one(rows.select_related("integration", "merchant"), key).first() if key else None

    def _result(self, delivery: EventDelivery) -> dict[str, Any]:
        """Return request, answer and what they mean."""
        now, attempts = timezone.now(), list(delivery.attempts.select_related("call").order_by("number"))
        waits = delivery.status in ON_ITS_WAY
        return {
            "delivery": delivery,
            "delivery_url": link("events_eventdelivery_change", delivery.pk),
            "verdict": verdict(delivery, attempts),
            "attempts": [
                (attempt.number, spoken(attempt.call) if attempt.call else None, is_of_profile(attempt)) for attempt in attempts
            ],
            "identify_calls": [spoken(call) for call in trial.identify_calls(delivery)],
            "person": delivery.recipient,
            "waits": waits,
            "refreshes": waits and now - delivery.created_at < REFRESHES_FOR,
            "accepted": delivery.status == State.SENT,
        }
