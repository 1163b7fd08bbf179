"""The forms behind the set-up page and the merchant page. The set-up form is built from what a provider declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

from integrations.candidates import Candidate, differing, pending, readable_secrets
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Merchant
from integrations.providers.base import Field
from integrations.secrets import MASK, Secrets, bind, mask

COMMON_PROPERTY = "common_property"
YES_NO = frozenset({"true", "false"})  # a field with just these choices is stored as a boolean
BLANKS = " \t\r\n\f\v\u00a0\u200b\u200c\u200d\u2060\ufeff"  # also those that nobody sees, as pasted from web pages
CURRENCY = re.compile(r"^[A-Z]{3}$")


class SetupForm(forms.Form):
    """One integration's common property, settings and secrets. Secrets go in and never come out.

    With `connecting`, or once the integration has been connected, required values must be there; before, whatever is known
    so far may be saved. A secret box left empty keeps what is saved. New values that wait for their check are shown, and
    edited, in the place of those in use.
    """

    def __init__(self, *args: Any, integration: Integration, connecting: bool = False, **kwargs: Any) -> None:
        """Build one form field per declared value."""
        self.integration, self.contract = integration, integration.contract
        self.strict = connecting or integration.initialized_at is not None
        self.pending = pending(integration)
        try:
            self.saved_secrets, self.unreadable = dict(integration.secrets), False
        except SecretUnreadable:
            self.saved_secrets, self.unreadable = {}, True
        if self.pending:
            self.saved_secrets, self.unreadable = dict(self.pending.secrets), False
        self.saved_settings = dict(self.pending.settings if self.pending else integration.settings or {})
        super().__init__(*args, **kwargs)
        self.fields[COMMON_PROPERTY] = forms.ChoiceField(
            label=_("Common property"),
            choices=self.contract.identities,
            initial=self.pending.common_property if self.pending else integration.common_property,
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
        value = self.saved_settings.get(field.name)
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
            value = str(self.cleaned_data.get(field.name) or "").strip(BLANKS)
            if value:
                self._tidy(field, value)
            elif field.name not in self.errors:
                self._complain_if_missing(field, retyped)
        self._check_together()
        return self.cleaned_data

    def _tidy(self, field: Field, value: str) -> None:
        """Replace a typed value by its tidy form, or show the provider's complaint, without repeating a secret."""
        try:
            self.cleaned_data[field.name] = self.contract.clean(field.name, value)
        except ValueError as error:
            complaint = str(error)
            self.add_error(field.name, complaint.replace(value, MASK) if field.secret else complaint)

    def _check_together(self) -> None:
        """Show what the provider finds wrong with the values as a whole. A secret typed into an open box is taken out of it."""
        values = {field.name: str(self._value_of(field)) for field in self.contract.fields}
        for name, complaint in self.contract.check_together({name: value for name, value in values.items() if value}).items():
            if name in self.fields and name not in self.errors:
                self.add_error(name, complaint)
        hidden = {values[field.name] for field in self.contract.fields if field.secret and values[field.name]}
        hidden -= {str(value) for value in self.saved_settings.values()}  # those were never secret
        open_boxes = [field.name for field in self.contract.fields if not field.secret and values[field.name] in hidden]
        self.data = {**dict(self.data.items()), **dict.fromkeys(open_boxes, "")} if open_boxes else self.data

    def _value_of(self, field: Field) -> Any:
        """Return a value as it will be: typed, or for a secret box left empty the saved one."""
        saved = self.saved_secrets.get(field.name, "") if field.secret else ""
        return self.cleaned_data.get(field.name) or saved

    def _complain_if_missing(self, field: Field, retyped: bool) -> None:
        """Show what is needed and not there. Saved secrets that cannot be read must all be entered again together."""
        if not field.required:
            return
        if field.secret and self.unreadable and (retyped or self.strict):
            self.add_error(field.name, _("The saved value can no longer be read. Enter it again, please."))
        elif field.secret and (self.unreadable or self.saved_secrets.get(field.name)):
            return
        elif str(self.data.get(field.name, "")):
            self.add_error(field.name, _("There are only spaces here. “Where to find it” shows what belongs here."))
        elif self.strict:
            self.add_error(field.name, _("This is needed to connect. “Where to find it” shows the way."))

    @property
    def doubts(self) -> Mapping[str, Any]:
        """Return the provider's hints about what is saved, by field."""
        saved = {**self.saved_settings, **self.saved_secrets}
        return self.contract.doubts({name: str(value) for name, value in saved.items() if value})

    def hide_typed_secrets(self) -> None:
        """After an error, say at the secret boxes that what was typed there is gone."""
        for field in self.contract.fields:
            if field.secret and self.cleaned_data.get(field.name) and field.name not in self.errors:
                self.add_error(field.name, _("For safety this is not shown again. Enter it once more, please."))

    def changes(self) -> list[str]:
        """Return the labels of what differs from the values in use, never the values."""
        current, wanted = self.integration, self.wanted()
        fields = {field.name for field in self.contract.fields}
        changed = [COMMON_PROPERTY] if wanted.common_property != current.common_property else []
        changed += differing(current.settings or {}, wanted.settings)
        changed += differing(readable_secrets(current), wanted.secrets)
        return [str(self.fields[name].label) for name in changed if name == COMMON_PROPERTY or name in fields]

    def replaced_secrets(self) -> list[str]:
        """Return the labels of secrets that differ from those in use, never the values."""
        secret = {field.name for field in self.contract.fields if field.secret}
        changed = differing(readable_secrets(self.integration), self.wanted().secrets)
        return [str(self.fields[name].label) for name in changed if name in secret]

    def wanted(self) -> Candidate:
        """Return all values as this form wants them; settings that no field declares stay as they are."""
        settings, secrets = dict(self.saved_settings), dict(self.saved_secrets)
        for field in self.contract.fields:
            value: Any = self.cleaned_data.get(field.name)
            if field.secret:
                secrets |= {field.name: value} if value else {}
                continue
            if value and {key for key, _label in field.choices} == YES_NO:
                value = value == "true"
            settings.pop(field.name, None)
            settings |= {} if value in ("", None) else {field.name: value}
        return Candidate(self.cleaned_data[COMMON_PROPERTY], settings, Secrets(secrets))

    def columns(self) -> dict[str, Any]:
        """Return what saving this form writes, and no other column."""
        wanted, current = self.wanted(), self.integration
        found: dict[str, Any] = {}
        if wanted.common_property != current.common_property:
            found[COMMON_PROPERTY] = wanted.common_property
        if wanted.settings != (current.settings or {}):
            found["settings"] = wanted.settings
        if any(self.cleaned_data.get(field.name) for field in self.contract.fields if field.secret) or self.pending:
            sealed = bind(dict(wanted.secrets), current.merchant_id, str(current.uid))
            found |= {"sealed_secrets": sealed, "secrets_changed_at": timezone.now()}
        if current.sealed_candidate is not None:
            found["sealed_candidate"] = None
        return found

    def save(self) -> bool:
        """Save what changed, in one UPDATE. Returns False where the integration changed its state meanwhile."""
        columns = self.columns()
        if not columns:
            return True
        unchanged = Integration.objects.filter(pk=self.integration.pk, status=self.integration.status)
        columns["check_result"] = {}
        if not unchanged.update(**columns):
            return False
        for name, value in columns.items():
            setattr(self.integration, name, value)
        return True

    def secret_note(self, name: str) -> str:
        """Return what may be said of a saved secret: when, and its last characters if it is long enough."""
        if self.unreadable:
            return str(_("The saved value can no longer be read. Enter it again, please."))
        if not self.saved_secrets.get(name):
            return ""
        changed_at = self.integration.secrets_changed_at or self.integration.created_at
        day = date_format(timezone.localtime(changed_at, ZoneInfo(self.integration.merchant.timezone)), "j M Y")
        tail = mask(self.saved_secrets[name]).removeprefix(MASK)
        if self.pending and name in differing(readable_secrets(self.integration), self.saved_secrets):
            return str(_("A new value waits for its check. Type to replace."))
        if not tail:
            return str(_("Saved %(day)s. Type to replace.") % {"day": day})
        return str(_("Saved %(day)s, ends in %(tail)s. Type to replace.") % {"day": day, "tail": tail})


LIMITS = ("cap_count", "cap_hours", "quiet_from", "quiet_until")


class MerchantForm(forms.ModelForm):
    """A merchant's own data."""

    class Meta:
        model = Merchant
        fields = ["name", "slug", "website", "platform", "timezone", "currency", "coin_name", "open_tracking", *LIMITS]
        fields += ["requires_second_factor"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the time zones in a list that can be searched; say what the limits mean."""
        super().__init__(*args, **kwargs)
        for name, words in self._explanations().items():
            if name in self.fields:
                self.fields[name].help_text = words
                self.fields[name].required = False
        if "timezone" in self.fields:  # not there for who may only look
            zones = sorted(available_timezones())
            self.fields["timezone"].widget = UnfoldAdminSelect2Widget(choices=[(zone, zone) for zone in zones])

    @staticmethod
    def _explanations() -> dict[str, Any]:
        """Return what each limit means."""
        return {
            "requires_second_factor": _("Everybody of the merchant's staff then logs in with a code of an app, too."),
            "open_tracking": _("Of customers who said no nothing is noted in any case. Clicks always are: they are asked for."),
            "cap_count": _("Over all events together; one activity counts once, over however many providers. Empty: no limit."),
            "cap_hours": _("Counted back from each new activity: 2 within 24 hours, for example."),
            "quiet_from": _("In your time zone, for example 21:00. Nothing is sent then, but for what is no marketing."),
            "quiet_until": _("For example 09:00. What happened meanwhile is sent then, unless its event says to skip it."),
        }

    def clean_cap_hours(self) -> int:
        """Leave the hours as they are where none are given."""
        hours = self.cleaned_data.get("cap_hours")
        return int(self.instance.cap_hours if hours is None else hours)

    def clean_open_tracking(self) -> str:
        """Leave it as it is where nothing is chosen."""
        return self.cleaned_data.get("open_tracking") or self.instance.open_tracking

    def clean_currency(self) -> str:
        """Return the currency in capitals."""
        currency = str(self.cleaned_data["currency"]).strip().upper()
        if not CURRENCY.match(currency):
            raise forms.ValidationError(_("Use the three letters of the ISO code, for example INR."))
        return currency
