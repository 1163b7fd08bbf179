"""The forms behind the set-up page and the merchant page. The set-up form is built from what a provider declares."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminPasswordToggleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from integrations.fields import SecretUnreadable
from integrations.models import Integration, Merchant
from integrations.providers.base import Field
from integrations.secrets import MASK

COMMON_PROPERTY = "common_property"
YES_NO = frozenset({"true", "false"})  # a field with just these choices is stored as a boolean
CURRENCY = re.compile(r"^[A-Z]{3}$")


class SetupForm(forms.Form):
    """One integration's common property, settings and secrets. Secrets go in and never come out.

    With `connecting`, or once the integration has been connected, required values must be there; before, whatever is known
    so far may be saved. A secret box left empty keeps what is saved.
    """

    def __init__(self, *args: Any, integration: Integration, connecting: bool = False, **kwargs: Any) -> None:
        """Build one form field per declared value."""
        self.integration, self.contract = integration, integration.contract
        self.strict = connecting or integration.initialized_at is not None
        try:
            self.saved_secrets, self.unreadable = dict(integration.secrets), False
        except SecretUnreadable:
            self.saved_secrets, self.unreadable = {}, True
        super().__init__(*args, **kwargs)
        self.fields[COMMON_PROPERTY] = forms.ChoiceField(
            label=_("Common property"),
            choices=self.contract.identities,
            initial=integration.common_property,
            widget=UnfoldAdminSelectWidget({"aria-describedby": f"about-{COMMON_PROPERTY}"}),
        )
        for field in self.contract.fields:
            self.fields[field.name] = self._form_field(field)

    def _form_field(self, field: Field) -> forms.Field:
        """Return the box for one declared value.

        A field with choices that also says what it looks like may be typed or pasted, in any form that the provider tidies:
        a text box with suggestions. One with choices alone is a select.
        """
        attrs = {"aria-describedby": f"about-{field.name}", "autocomplete": "off", "spellcheck": "false"}
        if field.secret:
            widget = UnfoldAdminPasswordToggleWidget({**attrs, "autocomplete": "new-password"})
            return forms.CharField(label=field.label, required=False, widget=widget)
        value = (self.integration.settings or {}).get(field.name)
        initial = str(value).lower() if isinstance(value, bool) else value
        if field.choices and not field.looks_like:
            blank = [] if field.required else [("", "—")]
            select = UnfoldAdminSelectWidget({"aria-describedby": attrs["aria-describedby"]})
            options = [*blank, *field.choices]
            return forms.ChoiceField(label=field.label, required=False, choices=options, initial=initial, widget=select)
        suggestions = {"list": f"suggestions-{field.name}"} if field.choices else {}
        widget = UnfoldAdminTextInputWidget(attrs | suggestions)
        return forms.CharField(label=field.label, required=False, initial=initial, widget=widget)

    def clean(self) -> dict[str, Any]:
        """Let the provider tidy each value; say at the field what is missing or wrong."""
        retyped = any(self.cleaned_data.get(field.name) for field in self.contract.fields if field.secret)
        for field in self.contract.fields:
            value = self.cleaned_data.get(field.name)
            if value:
                self._tidy(field, value)
            elif field.name not in self.errors:
                self._complain_if_missing(field, retyped)
        return self.cleaned_data

    def _tidy(self, field: Field, value: str) -> None:
        """Replace a typed value by its tidy form, or show the provider's complaint, without repeating a secret."""
        try:
            self.cleaned_data[field.name] = self.contract.clean(field.name, value)
        except ValueError as error:
            complaint = str(error)
            self.add_error(field.name, complaint.replace(value, MASK) if field.secret else complaint)

    def _complain_if_missing(self, field: Field, retyped: bool) -> None:
        """Show what is needed and not there. Saved secrets that cannot be read must all be entered again together."""
        if not field.required:
            return
        if field.secret and self.unreadable and (retyped or self.strict):
            self.add_error(field.name, _("The saved value can no longer be read. Enter it again, please."))
        elif field.secret and (self.unreadable or self.saved_secrets.get(field.name)):
            return
        elif self.strict:
            self.add_error(field.name, _("This is needed to connect. “Where to find it” shows the way."))

    def hide_typed_secrets(self) -> None:
        """After an error, say at the secret boxes that what was typed there is gone."""
        for field in self.contract.fields:
            if field.secret and self.cleaned_data.get(field.name) and field.name not in self.errors:
                self.add_error(field.name, _("For safety this is not shown again. Enter it once more, please."))

    def save(self) -> list[str]:
        """Save what changed, and no other column. Return the labels of what changed, never the values."""
        changed = [*self._take_property(), *self._take_settings(), *self._take_secrets()]
        columns = sorted({column for _label, names in changed for column in names})
        if columns:
            self.integration.save(update_fields=columns)
        return [label for label, _names in changed]

    def _take_property(self) -> list[tuple[str, tuple[str, ...]]]:
        """Take over the common property if it changed."""
        value = self.cleaned_data[COMMON_PROPERTY]
        if value == self.integration.common_property:
            return []
        self.integration.common_property = value
        return [(str(self.fields[COMMON_PROPERTY].label), (COMMON_PROPERTY,))]

    def _take_settings(self) -> list[tuple[str, tuple[str, ...]]]:
        """Take over what is not secret and changed; settings that no field declares stay as they are."""
        settings = dict(self.integration.settings or {})
        changed: list[tuple[str, tuple[str, ...]]] = []
        for field in (field for field in self.contract.fields if not field.secret):
            value: Any = self.cleaned_data.get(field.name)
            if value and {key for key, _label in field.choices} == YES_NO:
                value = value == "true"
            if value == settings.get(field.name, ""):
                continue
            settings.pop(field.name, None)
            settings |= {} if value in ("", None) else {field.name: value}
            changed.append((str(field.label), ("settings",)))
        self.integration.settings = settings
        return changed

    def _take_secrets(self) -> list[tuple[str, tuple[str, ...]]]:
        """Merge typed secrets into the saved ones."""
        names = {field.name: str(field.label) for field in self.contract.fields if field.secret}
        typed = {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name)}
        if typed:
            self.integration.secrets = {**self.saved_secrets, **typed}
        return [(names[name], ("sealed_secrets", "secrets_changed_at")) for name in typed]

    def secret_note(self, name: str) -> str:
        """Return what may be said of a saved secret: when, and its last characters if it is long enough."""
        if self.unreadable:
            return str(_("The saved value can no longer be read. Enter it again, please."))
        if not self.saved_secrets.get(name):
            return ""
        changed_at = self.integration.secrets_changed_at or self.integration.created_at
        day = date_format(timezone.localtime(changed_at, ZoneInfo(self.integration.merchant.timezone)), "j M Y")
        tail = self.integration.masked_secrets.get(name, "").removeprefix(MASK)
        if not tail:
            return str(_("Saved %(day)s. Type to replace.") % {"day": day})
        return str(_("Saved %(day)s, ends in %(tail)s. Type to replace.") % {"day": day, "tail": tail})


class MerchantForm(forms.ModelForm):
    """A merchant's own data."""

    class Meta:
        model = Merchant
        fields = ["name", "slug", "website", "platform", "timezone", "currency", "coin_name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the time zones in a list that can be searched."""
        super().__init__(*args, **kwargs)
        if "timezone" in self.fields:  # not there for who may only look
            zones = sorted(available_timezones())
            self.fields["timezone"].widget = UnfoldAdminSelect2Widget(choices=[(zone, zone) for zone in zones])

    def clean_currency(self) -> str:
        """Return the currency in capitals."""
        currency = str(self.cleaned_data["currency"]).strip().upper()
        if not CURRENCY.match(currency):
            raise forms.ValidationError(_("Use the three letters of the ISO code, for example INR."))
        return currency
