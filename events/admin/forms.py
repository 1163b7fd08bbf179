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
from events.timeline import DAY, HOUR, MINUTE, fires_when, resends, whole
from events.triggers import CATALOGUE, CUSTOM_GROUP, Trigger, find, is_custom, topic_of

UNITS = ((MINUTE, gettext_lazy("minutes")), (HOUR, gettext_lazy("hours")), (DAY, gettext_lazy("days")))


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
        fields = ("integration", "trigger", "name", "portal", "enabled", "uncertain_resends")

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

    def clean(self) -> dict[str, Any]:
        """Put the limit together."""
        cleaned = super().clean() or {}
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

    def _post_clean(self) -> None:
        """Leave the model's check out where there is no integration or trigger to check against."""
        if not {"integration", "trigger"} & set(self.errors):
            super()._post_clean()  # type: ignore[misc]
