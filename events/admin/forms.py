"""The form of an event: what to send, over which integration, under which name."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget

from events.admin.base import DEFAULT_COINS
from events.models import LONGEST_WORTH, EventDefinition
from events.routes import MILESTONE
from events.timeline import DAY, HOUR, MINUTE, fires_when, resends, whole
from events.triggers import CATALOGUE, CUSTOM_GROUP, LEAD, NUDGE, Trigger, find, is_custom, topic_of

MILESTONES = ("threshold", "close_within")
TIMES = ("lead_days", "wait_days", "most_reminders", "gap_days", "remind_hour")
PEOPLE = ("minimum_coins", "tiers", "consent_policy", "cap_count", "cap_hours", "quiet_policy", "holdout_percent")
PEOPLE_ROWS = (*PEOPLE[:3], PEOPLE[3:5], *PEOPLE[5:])
USUAL = (*TIMES, "consent_policy", "cap_hours", "quiet_policy", "holdout_percent")  # those that have a value in any case
# Which of these an event has a use for, by what time creates its trigger by.
USED = {LEAD: ("lead_days", "remind_hour"), NUDGE: ("wait_days", "most_reminders", "gap_days", "remind_hour")}
BLANK = EventDefinition()  # has the usual values
UNITS = ((MINUTE, gettext_lazy("minutes")), (HOUR, gettext_lazy("hours")), (DAY, gettext_lazy("days")))


def own_settings(trigger: str) -> tuple[str, ...]:
    """Return the settings that only some triggers have: milestones, and what time creates."""
    found = find(trigger)
    return MILESTONES if trigger == MILESTONE else USED.get(found.timing if found else "", ())


def settings_by_trigger() -> dict[str, list[str]]:
    """Return these settings of every trigger that has any, for the page to show them once it is chosen."""
    return {key: list(names) for key in CATALOGUE if (names := own_settings(key))}


def grouped_triggers(coins: str) -> list[tuple[str, list[Trigger]]]:
    """Return the catalogue by group, in its order."""
    groups: dict[str, list[Trigger]] = {}
    for trigger in CATALOGUE.values():
        groups.setdefault(str(trigger.group), []).append(trigger)
    return list(groups.items())


class EventDefinitionForm(forms.ModelForm):
    """Says in each choice when it fires; the model's own check of the name shows its error at the field."""

    coins = DEFAULT_COINS  # the admin sets the merchant's word

    class Meta:
        model = EventDefinition
        fields = (
            "integration",
            "trigger",
            "name",
            "portal",
            "enabled",
            "destination",
            "adds_utm",
            "uncertain_resends",
            *TIMES,
            *MILESTONES,
            *PEOPLE,
        )

    # `stale_after` in the units that people use.
    stale_amount = forms.IntegerField(
        label=gettext_lazy("No longer worth sending after"), required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget()
    )
    stale_unit = forms.TypedChoiceField(
        label=gettext_lazy("Unit"), coerce=int, choices=UNITS, initial=HOUR, required=False, widget=UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Fill in the words that depend on the merchant and the provider."""
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        if "trigger" in self.fields:
            self._offer_triggers(fields["trigger"])
        if "integration" in self.fields:
            self._propose_integration(fields["integration"])
        if "portal" in self.fields:
            self.fields["portal"].help_text = _("Send only what happened there; what happened elsewhere is skipped.")
        if "enabled" in self.fields:
            self.fields["enabled"].help_text = _("Switched off, its activities are not recorded; its history stays.")
        if "name" in self.fields:
            self._explain_name()
        if "stale_amount" in self.fields:
            self._explain_limit()
        if "uncertain_resends" in self.fields:
            self._offer_resends(fields)
        if "minimum_coins" in self.fields:
            self.fields["minimum_coins"].label = _("Minimum %(coins)s") % {"coins": self.coins}
        for name, words in self._explanations().items():
            if name in fields:
                fields[name].help_text = words
                fields[name].required = False  # without a value: as usual

    def _offer_triggers(self, field: Any) -> None:
        """Offer the catalogue by group, to be searched by typing, each trigger with when it fires."""
        fires = _("%(title)s: fires when %(when)s")
        field.widget = UnfoldAdminSelect2Widget()
        field.choices = [("", _("Choose what is sent"))] + [
            (
                group,
                [(item.key, fires % {"title": item.title(self.coins), "when": fires_when(item, self.coins)}) for item in items],
            )
            for group, items in (*grouped_triggers(self.coins), *self._own_topics())
        ]
        field.help_text = _("The activity that is sent. Type a word to find it.")

    def _own_topics(self) -> list[tuple[str, list[Trigger]]]:
        """Return the topic of the merchant's own that this event is made of, or is to be made of."""
        asked = self.data.get("trigger") or self.initial.get("trigger") or self.instance.trigger or ""
        return [(str(CUSTOM_GROUP), [found])] if is_custom(asked) and (found := find(asked)) else []

    def _get_validation_exclusions(self) -> set[str]:
        """Leave a topic of the merchant's own to the model's `clean`: it is in no list of choices."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | {"trigger"} if is_custom(self.data.get("trigger") or self.instance.trigger or "") else excluded

    def _propose_integration(self, field: Any) -> None:
        """Choose the only integration there is; say what to do where there is none."""
        found = list(field.queryset.values_list("pk", flat=True)[:2])
        if not found:
            field.help_text = _("There is none yet. Connect a provider under Integrations first.")
        elif len(found) == 1:
            self.initial.setdefault("integration", found[0])

    def _explain_name(self) -> None:
        """Show the name that the event gets if none is typed."""
        default = ""
        if self.instance.integration_id and self.instance.trigger:
            with suppress(KeyError):  # the provider is no longer installed
                default = self.instance.integration.contract.default_event_name(topic_of(self.instance.trigger))
        field = self.fields["name"]
        field.widget.attrs["placeholder"] = default or "walletreward_create"
        field.help_text = _("Under this name the provider offers it as a trigger. Leave it empty for the usual name.")

    def _explain_limit(self) -> None:
        """Show the limit in its largest even unit, and say what else ends by itself."""
        seconds = self.instance.stale_after
        if seconds is not None:
            unit = next((size for size, _name in reversed(UNITS) if seconds % size == 0), MINUTE)
            self.initial.update(stale_amount=max(1, -(-seconds // unit)), stale_unit=unit)
        said = [_("Counted from when it happened. Empty: it is always worth sending, also after days of a provider's outage.")]
        trigger = find(self.instance.trigger)
        if trigger and trigger.ended:
            said.append(_("Once %(what)s it is never sent, whatever stands here.") % {"what": trigger.ended})
        if window := self._live_window():
            words = _(
                "%(provider)s starts live journeys only from events less than %(window)s old: "
                "with that as the limit, what would come later is skipped."
            )
            said.append(words % {"provider": self.instance.integration.label, "window": whole(window)})
        self.fields["stale_amount"].help_text = " ".join(said)

    def _live_window(self) -> timedelta | None:
        """Return how old an event may be for the provider to start a journey from it."""
        if not self.instance.integration_id:
            return None
        with suppress(KeyError):  # the provider is no longer installed
            return self.instance.integration.contract.live_window
        return None

    def _offer_resends(self, fields: dict[str, Any]) -> None:
        """Offer how often to send again what may have arrived, the usual first; whatever is stored stays on offer."""
        stored = self.instance.uncertain_resends
        numbers = sorted({0, 1, 2, 3, *([stored] if stored is not None else [])})
        named = [
            (number, _("Never send it again: it must not arrive twice") if not number else resends(number)) for number in numbers
        ]
        usual = _("As usual: %(words)s") % {"words": resends(None).lower()}
        fields["uncertain_resends"] = forms.TypedChoiceField(
            label=EventDefinition._meta.get_field("uncertain_resends").verbose_name.capitalize(),
            choices=[("", usual), *named],
            coerce=int,
            empty_value=None,
            required=False,
            widget=UnfoldAdminSelectWidget(),
            help_text=_(
                "It happens when a provider does not answer: it may have the event or not. "
                "Never sending again risks that it is missing, sending again that it arrives twice."
            ),
        )

    def _explanations(self) -> dict[str, str]:
        """Return what each setting means, in the merchant's word for coins."""
        coins = {"coins": self.coins}
        closer = _("Empty: when it is reached. With a number, already when only so many %(coins)s are missing.")
        return {
            "threshold": _("It fires when earned %(coins)s bring a balance to this number.") % coins,
            "close_within": closer % coins,
            "lead_days": _("Up to three numbers of days, each a reminder of its own. The day is counted in your time zone."),
            "wait_days": _("Days before the first reminder."),
            "most_reminders": _("How often in all, up to five."),
            "gap_days": _("Days from one reminder to the next."),
            "remind_hour": _("The hour of the day in your time zone, from 0 to 23, at which reminders are sent."),
            "destination": _("The page that the link in the message opens. Empty: your website."),
            "adds_utm": _("Tells your analytics where the visit came from: provider, channel, and this event's name."),
            "minimum_coins": _("Only where at least so many %(coins)s are concerned. Empty: any number.") % coins,
            "tiers": _("Only customers in these tiers, separated by commas: Gold, Platinum. Empty: everybody."),
            "consent_policy": _(
                "Who said no on the provider's channel is skipped. The last one is for messages that are no marketing, such as "
                "receipts: they keep to no quiet hours and no limit of the merchant's either."
            ),
            "cap_count": _("So many of this event for one customer, in the hours beside. Empty: every time that it fires."),
            "cap_hours": _("Counted back from the moment at which it fires."),
            "quiet_policy": _("Your quiet hours stand at the merchant, with the limit for all events together."),
            "holdout_percent": _(
                "So many of every 100 customers are never sent this event, always the same ones. What they do without it "
                "shows what it is worth, on the page Worth. 10 is usual, 50 the most; 0: everybody is sent to."
            ),
        }

    def clean(self) -> dict[str, Any]:
        """Put the limit together; leave settings that were left empty as usual."""
        cleaned = super().clean() or {}
        for name in USUAL:
            if name in self.fields and cleaned.get(name) in (None, "") and name not in self.errors:
                cleaned[name] = getattr(BLANK if name in self.data else self.instance, name)
        if "threshold" in self.fields and self._trigger(cleaned) == MILESTONE and cleaned.get("threshold") is None:
            self.errors.get("threshold") or self.add_error("threshold", _("A milestone needs a number."))
        if "stale_amount" not in self.fields or "stale_amount" in self.errors or "stale_unit" in self.errors:
            return cleaned
        amount, unit = cleaned.get("stale_amount"), cleaned.get("stale_unit") or HOUR
        seconds = amount * unit if amount else None
        if seconds is not None and seconds > LONGEST_WORTH:
            too_long = _("At most %(days)d days. Leave it empty for events that are always worth sending.")
            self.add_error("stale_amount", too_long % {"days": LONGEST_WORTH // DAY})
        else:
            self.instance.stale_after = seconds
        return cleaned

    def _trigger(self, cleaned: dict[str, Any]) -> str:
        """Return the trigger that this event has, or is to have."""
        return str(cleaned.get("trigger") or self.instance.trigger or "")

    def _post_clean(self) -> None:
        """Leave the model's check out where there is no integration or trigger to check against."""
        if not {"integration", "trigger"} & set(self.errors):
            super()._post_clean()  # type: ignore[misc]
