"""The audit trail as owners and administrators read it: searched, filtered, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from events.admin.base import PageMixin, link, local
from events.admin.filters import ScopedDropdownFilter
from integrations.kept_words import said
from integrations.models import Act, AuditEntry, Role
from integrations.scope import NeverEdited, ScopedAdmin

# What a detail is called. Others are shown by their own name.
LABELS = {
    "result": gettext_lazy("result"),
    "number": gettext_lazy("number"),
    "what": gettext_lazy("what"),
    "role": gettext_lazy("role"),
    "consent": gettext_lazy("consent"),
    "enabled": gettext_lazy("switched on"),
    "cancelled": gettext_lazy("events cancelled"),
    "email": gettext_lazy("email"),
    "key": gettext_lazy("number of the row"),
    "other": gettext_lazy("number of the other row"),
    "done": gettext_lazy("done"),
    "mode": gettext_lazy("mode"),
}
TONES = dict.fromkeys(Act.values, "") | {Act.LOGIN_FAILED.value: "danger"}
TONES |= {act.value: "warning" for act in (Act.SECRET, Act.ERASE, Act.DISCONNECT)}


@admin.register(AuditEntry)
class AuditEntryAdmin(NeverEdited, PageMixin, ScopedAdmin):
    """Who did what. What belongs to no merchant is for administrators."""

    merchant_path = "merchant"
    staff_may = frozenset({"view"})
    staff_roles = (Role.OWNER,)
    list_display = ("when", "who", "done", "on_what", "more", "address", "whose")
    list_display_links = ("when",)
    list_filter = (("merchant", ScopedDropdownFilter), ("act", ChoicesDropdownFilter))
    list_filter_submit = True
    list_select_related = ("merchant",)
    search_fields = ("actor_name", "subject", "=subject_key")
    search_help_text = gettext_lazy("Who, on what, or the number of a row")
    sortable_by = ()
    actions = None
    fields = ("when", "who", "act", "on_what", "more", "address", "whose")
    readonly_fields = fields
    empty_icon = "history"
    empty_title = gettext_lazy("Nothing was noted yet")
    empty_text = gettext_lazy("Whatever staff do from now on is written down here, and stays.")

    @display(description=gettext_lazy("when"))
    def when(self, entry: AuditEntry) -> str:
        """Return when, on the merchant's clock."""
        return local(entry.at, entry.merchant.timezone if entry.merchant else "UTC")

    @display(description=gettext_lazy("who"))
    def who(self, entry: AuditEntry) -> str:
        """Return the name that they had then."""
        unknown = _("somebody unknown") if entry.act == Act.LOGIN_FAILED else _("the system")
        return entry.actor_name or str(unknown)

    @display(description=gettext_lazy("what"), label=TONES)
    def done(self, entry: AuditEntry) -> tuple[str, str]:
        """Return the act as a coloured word."""
        return entry.act, entry.get_act_display()

    @display(description=gettext_lazy("on what"))
    def on_what(self, entry: AuditEntry) -> Any:
        """Return what it was done to, as it was called then."""
        return said(entry.subject) or "-"

    @display(description=gettext_lazy("details"))
    def more(self, entry: AuditEntry) -> str:
        """Return which fields were changed, and the few words that go along."""
        words = [said(str(name)) for name in entry.fields]
        words += [f"{LABELS.get(name, name)}: {said(str(value))}" for name, value in entry.details.items()]
        return ", ".join(words) or "-"

    @display(description=gettext_lazy("merchant"))
    def whose(self, entry: AuditEntry) -> str:
        """Return whose it is."""
        return str(entry.merchant or "-")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead home."""
        return link("index"), _("Home")
