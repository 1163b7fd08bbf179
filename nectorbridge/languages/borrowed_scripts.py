"""Words that scripts of Django's admin show on our pages (its pickers), and have no Hindi for: a catalog of their own."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext_lazy

SCRIPTS = [
    _('Choose %s by selecting them and then select the "Choose" arrow button.'),
    _("Choose all %s"),
    _("Choose selected %s"),
    _("Remove selected %s"),
    _('Remove %s by selecting them and then select the "Remove" arrow button.'),
    _("Type into this box to filter down the list of selected %s."),
    _("(click to clear)"),
    _("Remove all %s"),
    ngettext_lazy("%s selected option not visible", "%s selected options not visible"),
    _(
        "You have selected an action, but you haven’t saved your changes to individual fields yet. Please click OK to save. You’ll need to re-run the action."
    ),
    _(
        "You have selected an action, and you haven’t made any changes on individual fields. You’re probably looking for the Go button rather than the Save button."
    ),
    _("6 p.m."),
    ngettext_lazy("Note: You are %s hour ahead of server time.", "Note: You are %s hours ahead of server time."),
    ngettext_lazy("Note: You are %s hour behind server time.", "Note: You are %s hours behind server time."),
    _("Choose a Time"),
    _("Choose a Date"),
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
    _("Sunday"),
    _("Monday"),
    _("Tuesday"),
    _("Wednesday"),
    _("Thursday"),
    _("Friday"),
    _("Saturday"),
]
