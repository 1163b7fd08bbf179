"""The form of an event: what to send, over which integration, under which name."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSelect2Widget

from events.admin.base import DEFAULT_COINS
from events.models import EventDefinition
from events.timeline import fires_when
from events.triggers import CATALOGUE, Trigger


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
        fields = ("integration", "trigger", "name", "portal", "enabled")

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

    def _offer_triggers(self, field: Any) -> None:
        """Offer the catalogue by group, to be searched by typing, each trigger with when it fires."""
        fires = _("%(title)s: fires when %(when)s")
        field.widget = UnfoldAdminSelect2Widget()
        field.choices = [("", _("Choose what is sent"))] + [
            (
                group,
                [(item.key, fires % {"title": item.title(self.coins), "when": fires_when(item, self.coins)}) for item in items],
            )
            for group, items in grouped_triggers(self.coins)
        ]
        field.help_text = _("The activity that is sent. Type a word to find it.")

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
                default = self.instance.integration.contract.default_event_name(self.instance.trigger)
        field = self.fields["name"]
        field.widget.attrs["placeholder"] = default or "walletreward_create"
        field.help_text = _("Under this name the provider offers it as a trigger. Leave it empty for the usual name.")

    def _post_clean(self) -> None:
        """Leave the model's check out where there is no integration or trigger to check against."""
        if not {"integration", "trigger"} & set(self.errors):
            super()._post_clean()  # type: ignore[misc]
