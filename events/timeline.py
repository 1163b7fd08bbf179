"""What happened to a delivery, from the activity to now, as plain values in plain words. Pure: no queries, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from events.models import CallKind, DeliveryAttempt, Engagement, EventDelivery
from events.states import EngagementKind, Reason, State
from events.triggers import Trigger, find
from integrations.kept_words import said
from integrations.models import Status
from integrations.providers.base import Outcome

SECOND_MS, MINUTE, HOUR, DAY = 1000, 60, 3600, 86_400

# What each outcome of a try means, its colour and its icon.
OUTCOMES: dict[str, tuple[Any, str, str]] = {
    Outcome.ACCEPTED: (gettext_lazy("%(provider)s accepted it"), "success", "check_circle"),
    Outcome.TRANSIENT: (gettext_lazy("%(provider)s did not take it; the same request may succeed later"), "warning", "replay"),
    Outcome.UNCERTAIN: (gettext_lazy("No answer came: %(provider)s may have it or not"), "warning", "help"),
    Outcome.PERMANENT: (gettext_lazy("%(provider)s refused this event for good"), "danger", "block"),
    Outcome.CONFIGURATION: (
        gettext_lazy("%(provider)s refused the integration, not this event; that costs no try"),
        "danger",
        "build",
    ),
    Outcome.INTERNAL: (gettext_lazy("An error of ours; it was logged"), "danger", "bug_report"),
}
# The same of a call that carried the customer's profile, for a provider that takes events only of people it knows.
PROFILE_OUTCOMES: dict[str, Any] = {
    Outcome.TRANSIENT: gettext_lazy("%(provider)s did not take the customer's profile, which goes ahead of the event"),
    Outcome.UNCERTAIN: gettext_lazy("No answer came to the customer's profile, which goes ahead of the event"),
    Outcome.PERMANENT: gettext_lazy("%(provider)s refused the customer's profile, so the event was not sent"),
}
# What came back about a message, its colour and its icon.
ENGAGEMENTS: dict[str, tuple[Any, str, str]] = {
    EngagementKind.DELIVERED: (gettext_lazy("The message reached the customer"), "success", "mark_email_read"),
    EngagementKind.OPEN: (gettext_lazy("Opened"), "success", "drafts"),
    EngagementKind.CLICK: (gettext_lazy("Clicked"), "success", "ads_click"),
    EngagementKind.UNSUBSCRIBE: (gettext_lazy("The customer unsubscribed"), "warning", "unsubscribe"),
    EngagementKind.COMPLAINT: (gettext_lazy("The customer complained"), "danger", "report"),
    EngagementKind.BOUNCE: (gettext_lazy("The message bounced"), "danger", "unsubscribe"),
}
# What to do about each reason.
REMEDIES: dict[str, Any] = {
    Reason.NO_IDENTITY: gettext_lazy(
        "Complete the customer's %(property)s, or choose another common property in the integration's set-up. "
        "The customer's next activity will then be sent."
    ),
    Reason.NO_CONSENT: gettext_lazy("Nothing to do: the customer has to agree first. Afterwards it can be replayed."),
    Reason.SUPPRESSED: gettext_lazy("Nothing to do: the customer does not want messages."),
    Reason.FILTERED: gettext_lazy("If it should have been sent, open the event and change where it fires."),
    Reason.FREQUENCY_CAP: gettext_lazy("Nothing to do; the customer's later activities are sent again."),
    Reason.DUPLICATE: gettext_lazy("Nothing to do: the customer was told already."),
    Reason.QUIET_HOURS: gettext_lazy(
        "Nothing to do. What an event does in quiet hours stands there; the hours, at the merchant."
    ),
    Reason.STALE: gettext_lazy("Nothing to do. How long it is worth sending stands at the event, under Delivery."),
    Reason.HOLDOUT: gettext_lazy(
        "Nothing to do: a share of customers is never sent this event, so that its worth can be read. "
        "How large it is stands at the event."
    ),
    Reason.BACKFILL: gettext_lazy("Nothing to do: imported history is not announced."),
    Reason.UNCERTAIN: gettext_lazy(
        "Look in %(provider)s whether the event arrived. If it did not, retry; if it did, a retry would send it twice."
    ),
    Reason.EXHAUSTED: gettext_lazy("Read the last answer. Once %(provider)s takes events again, retry."),
    Reason.REFUSED: gettext_lazy("Read the last answer, put right in %(provider)s what it names, then retry."),
    Reason.IDENTIFY_REFUSED: gettext_lazy("Correct the customer's email or mobile number, then retry."),
    Reason.INTERNAL: gettext_lazy("Show this page to an administrator. Once it is solved, retry."),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline. `tone` is success, warning, danger, info or empty; `gap` says how long it took."""

    title: str
    at: datetime | None = None
    text: str = ""
    gap: str = ""
    tone: str = ""
    icon: str = "radio_button_unchecked"
    attempt: DeliveryAttempt | None = None
    about_integration: bool = False  # the way on leads over the integration's page


def span(delta: timedelta) -> str:
    """Return a length of time as people say it: 240 ms, 3.2 s, 5 min, 2 h 10 min, 3 days."""
    milliseconds = max(0, delta // timedelta(milliseconds=1))
    seconds = milliseconds / SECOND_MS
    if milliseconds < SECOND_MS:
        return _("%(count)d ms") % {"count": milliseconds}
    if seconds < MINUTE:
        return _("%(count)s s") % {"count": f"{seconds:.1f}".removesuffix(".0")}
    if seconds < HOUR:
        return _("%(count)d min") % {"count": seconds // MINUTE}
    if seconds < DAY:
        hours, minutes = divmod(int(seconds // MINUTE), 60)
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    days = int(seconds // DAY)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def whole(delta: timedelta) -> str:
    """Return a round length of time in its largest even unit: 30 seconds, 10 minutes, 2 hours, 1 day."""
    seconds = round(delta.total_seconds())
    if seconds and seconds % DAY == 0:
        return ngettext("%(count)d day", "%(count)d days", seconds // DAY) % {"count": seconds // DAY}
    if seconds and seconds % HOUR == 0:
        return ngettext("%(count)d hour", "%(count)d hours", seconds // HOUR) % {"count": seconds // HOUR}
    if seconds and seconds % MINUTE == 0:
        return ngettext("%(count)d minute", "%(count)d minutes", seconds // MINUTE) % {"count": seconds // MINUTE}
    return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}


def fires_when(trigger: Trigger, coins: str) -> str:
    """Return what makes a trigger fire, in the merchant's word for coins."""
    return str(trigger.fires).replace(str(_("coins")), coins)


def timeline(
    delivery: EventDelivery, attempts: Iterable[DeliveryAttempt], now: datetime, came_back: Iterable[Engagement] = ()
) -> list[Moment]:
    """Return the delivery's story, oldest first. Integration and merchant must be loaded; the rest is in its order."""
    trigger = find(delivery.trigger)
    title = trigger.title(delivery.merchant.coin_name) if trigger else delivery.trigger
    what = {"what": fires_when(trigger, delivery.merchant.coin_name)} if trigger else {}
    fires = _("It fires when %(what)s.") % what if trigger else ""
    recorded = _("%(span)s after the activity") % {"span": span(delivery.created_at - delivery.occurred_at)}
    moments = [
        Moment(title, delivery.occurred_at, fires, icon="bolt"),
        Moment(_("Recorded"), delivery.created_at, _recorded_text(delivery), recorded, icon="edit_note"),
    ]
    before = delivery.created_at
    for attempt in attempts:
        moments.append(_try(delivery, attempt, before))
        before = attempt.started_at
    after = moments[2:] + [_engaged(delivery, engagement) for engagement in came_back]
    moments[2:] = sorted(after, key=lambda moment: moment.at or now)
    end = _now(delivery, now)
    return [*moments, end] if end else moments


def _recorded_text(delivery: EventDelivery) -> str:
    """Return what recording meant."""
    values = {"name": delivery.event_name, "provider": delivery.integration.label}
    if delivery.is_test:
        return _("A test: “%(name)s” for %(provider)s, left out of the statistics.") % values
    if delivery.replay_of_id:
        return _("“%(name)s” for %(provider)s, a replay: it carries what an earlier delivery carried.") % values
    return _("“%(name)s” for %(provider)s. What is sent was frozen at this moment.") % values


def _try(delivery: EventDelivery, attempt: DeliveryAttempt, before: datetime) -> Moment:
    """Return what one call meant for this delivery."""
    words, tone, icon = OUTCOMES.get(attempt.outcome, (attempt.outcome, "", "help"))
    text = ": ".join(part for part in (attempt.error_code, said(attempt.error_message)) if part)
    if attempt.outcome == Outcome.ACCEPTED:
        arrived = delivery.sent_at or attempt.started_at
        text = " ".join(part for part in (text, _too_old(delivery, arrived)) if part)
        gap = _("handed over %(span)s after the activity") % {"span": span(arrived - delivery.occurred_at)}
    else:
        gap = _("%(span)s later") % {"span": span(attempt.started_at - before)}
    if attempt.call and attempt.call.kind == CallKind.CONTACT:  # what failed is the profile, which goes ahead of the event
        words = PROFILE_OUTCOMES.get(attempt.outcome, words)
    title = _("Try %(number)d: %(meaning)s") % {
        "number": attempt.number,
        "meaning": str(words) % {"provider": delivery.integration.label},
    }
    return Moment(title, attempt.started_at, text, gap, tone, icon, attempt)


def _window(delivery: EventDelivery) -> timedelta | None:
    """Return how old an event may be for the provider to start a live journey from it."""
    try:
        return delivery.integration.contract.live_window
    except KeyError:  # the provider is no longer installed
        return None


def _too_old(delivery: EventDelivery, at: datetime) -> str:
    """Return what it means that an event arrives, or would arrive, at that moment: nothing within the provider's window."""
    window = _window(delivery)
    if window is None or at - delivery.occurred_at <= window:
        return ""
    late = _("More than %(window)s after it happened: %(provider)s keeps it in its history, but starts no live journey from it.")
    return late % {"window": whole(window), "provider": delivery.integration.label}


def _engaged(delivery: EventDelivery, engagement: Engagement) -> Moment:
    """Return what came back: an open, a click, or less welcome news."""
    words, tone, icon = ENGAGEMENTS.get(engagement.kind, (engagement.get_kind_display(), "", "help"))
    text = _("By a machine, such as a mail filter: it does not count.") if engagement.is_machine else ""
    gap = _("%(span)s after the activity") % {"span": span(engagement.occurred_at - delivery.occurred_at)}
    return Moment(str(words), engagement.occurred_at, text, gap, "" if engagement.is_machine else tone, icon)


def said_of(delivery: EventDelivery) -> str:
    """Return why a delivery was left out, failed or waits, in words: of what is stale with the merchant's word for coins."""
    why = said(delivery.detail) or delivery.get_reason_display()
    return why.replace(str(_("coins")), delivery.merchant.coin_name) if delivery.reason == Reason.STALE else why


def _now(delivery: EventDelivery, now: datetime) -> Moment | None:
    """Return where the delivery stands and what comes next; nothing for one that was sent."""
    reason = said_of(delivery)
    if delivery.status in (State.QUEUED, State.RETRYING):
        return _next(delivery, now)
    if delivery.status == State.SENDING:
        return Moment(_("A worker is sending it right now"), now, tone="info", icon="sync")
    if delivery.status == State.HELD:
        return _held(delivery)
    if delivery.status == State.FAILED:
        why = delivery.get_reason_display() or reason  # what was answered stands at the last try already
        text = " ".join(part for part in (_once(delivery), remedy(delivery)) if part)
        return Moment(_("Given up: %(reason)s") % {"reason": why}, None, text, tone="danger", icon="error")
    if delivery.status == State.SKIPPED:
        title = _("Not sent again: %(reason)s") if delivery.uncertain_count else _("Not sent: %(reason)s")
        ended = delivery.expires_at if delivery.reason == Reason.STALE else None
        at = ended if ended and ended <= now else None
        return Moment(title % {"reason": reason}, at, remedy(delivery), tone="warning", icon="do_not_disturb_on")
    if delivery.status == State.CANCELLED:
        text = _("It will not be sent unless someone retries it.")
        return Moment(_("Cancelled: a person withdrew it"), None, text, icon="cancel")
    return None


def _once(delivery: EventDelivery) -> str:
    """Return why a delivery of unknown fate is not sent again, where its event says so."""
    is_once = delivery.reason == Reason.UNCERTAIN and delivery.definition.uncertain_resends == 0
    return _("This event is never sent again by itself, so that it cannot arrive twice.") if is_once else ""


def resends(of_definition: int | None) -> str:
    """Return in words how often an event is sent again when nobody knows whether it arrived."""
    number = settings.DELIVERY_UNCERTAIN_RESENDS if of_definition is None else of_definition
    if not number:
        return _("Not sent again")
    return ngettext("Sent again once", "Sent again up to %(count)d times", number) % {"count": number}


def _after(delivery: EventDelivery) -> str:
    """Return what comes if the next try fails, by the table of steps."""
    steps = settings.DELIVERY_RETRY_STEPS
    if delivery.failure_count >= len(steps):
        return _("It is the last one.")
    wait = timedelta(seconds=steps[delivery.failure_count])
    if delivery.expires_at and delivery.next_attempt_at and delivery.next_attempt_at + wait >= delivery.expires_at:
        return _("It is the last one: after that it is not worth sending any more.")
    return _("If it fails, the one after comes %(length)s later.") % {"length": whole(wait)}


def _next(delivery: EventDelivery, now: datetime) -> Moment:
    """Return when the next try comes, and whether something holds it back."""
    hold, shut = delivery.integration.hold_until, delivery.integration.breaker_until
    due = max(moment for moment in (delivery.next_attempt_at or now, hold, shut) if moment)
    number = delivery.attempt_count + 1
    if shut and due <= max(now, shut):
        return _silent(delivery, due, now)
    if due <= now:
        title = _("Try %(number)d is due now") % {"number": number}
        return Moment(title, due, _("A worker takes it within seconds; if nothing happens, no worker runs."), icon="schedule")
    title = _("Try %(number)d comes in %(span)s") % {"number": number, "span": span(due - now)}
    values = {"provider": delivery.integration.label}
    text = _("%(provider)s asked for a pause; that costs no try.") % values if hold and hold > now else _after(delivery)
    if hold and hold > now and delivery.integration.minute_spent and not delivery.integration.hold_count:
        text = _("What %(provider)s takes in a minute is used up; that costs no try.") % values
    if delivery.reason == Reason.QUIET_HOURS:
        text = _("It waits for the end of the quiet hours; that costs no try.")
    text = " ".join(part for part in (text, _too_old(delivery, due)) if part)
    return Moment(title, due, text, tone="info", icon="schedule")


def _silent(delivery: EventDelivery, due: datetime, now: datetime) -> Moment:
    """Return that the provider does not answer, and when one event is tried: this one or another."""
    since = delivery.integration.breaker_failing_since or now
    values = {"provider": delivery.integration.label, "span": span(now - since), "wait": span(due - now)}
    title = _("%(provider)s has not answered for %(span)s") % values
    text = _("The next look, with one event, comes in %(wait)s; once it is answered, all others follow.")
    if due <= now:
        text = _("One event is tried now; once it is answered, all others follow.")
    return Moment(title, due, f"{text % values} {_('Waiting costs no try.')}", tone="warning", icon="cloud_off")


def _held(delivery: EventDelivery) -> Moment:
    """Return why a delivery waits for a person, and that nothing is lost."""
    integration = delivery.integration
    values = {"provider": integration.label}
    if integration.status == Status.PAUSED:
        title, text = (
            _("Held: %(provider)s is paused"),
            _("Nothing is lost: it is sent once someone resumes."),
        )
    elif integration.status == Status.ATTENTION:
        title = _("Held: %(provider)s needs attention")
        text = " ".join(part for part in (integration.status_reason, integration.status_fix) if part)
        text = text or _("Open the integration and initialize it again; then it is sent.")
    else:
        title, text = _("Held: %(provider)s is not connected"), _("Initialize the integration; then it is sent.")
    return Moment(title % values, None, text, tone="warning", icon="pause_circle", about_integration=True)


def remedy(delivery: EventDelivery) -> str:
    """Return what to do about the delivery's reason, or an empty text where nothing can be done."""
    try:
        identities = dict(delivery.integration.contract.identities)
    except KeyError:  # the provider is no longer installed
        identities = {}
    property_name = identities.get(delivery.integration.common_property, delivery.integration.common_property)
    values = {"provider": delivery.integration.label, "property": str(property_name).lower()}
    return str(REMEDIES.get(delivery.reason, "")) % values
