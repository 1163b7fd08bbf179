"""An erasure in numbers and words: how far it is, what it deleted, what it made anonymous."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events.admin.base import grouped
from integrations.kept_words import said
from nectorbridge.loyalty.models import ErasureReport, ErasureState
from nectorbridge.loyalty.personal.erasing import STEPS

# What the steps count, in the words of the report. Everything else is named by its table, and was deleted.
DELETED: dict[str, Any] = {
    "receipts": gettext_lazy("Nector webhooks"),
    "import_rows": gettext_lazy("Rows of files that wait to be imported"),
    "import_errors": gettext_lazy("Errors of imports"),
    "contacts": gettext_lazy("What providers were told of the customer"),
    "suppressions": gettext_lazy("Notes that the customer is not to be written to"),
}
CHANGED: dict[str, Any] = {
    "withdrawn": gettext_lazy("Messages that still waited: withdrawn"),
    "deliveries": gettext_lazy("Deliveries: made anonymous"),
    "attempts": gettext_lazy("Tries: what providers said was blanked"),
    "engagements": gettext_lazy("Opens, clicks and the like: kept without a name"),
    "calls": gettext_lazy("Calls: request and answer blanked"),
    "callbacks": gettext_lazy("Callbacks of providers that named them: deleted"),
    "referrals": gettext_lazy("Referrals of others in which the customer was the friend: made anonymous"),
    "mentions": gettext_lazy("Rows of others that named the customer: the name taken out"),
    "log": gettext_lazy("Entries of the admin's history: the name taken out"),
    "traces": gettext_lazy("Filters, messages and errors that named the customer: blanked"),
}


def progress_of(run: ErasureReport) -> dict[str, Any]:
    """Return what the page and its script show."""
    over = run.state != ErasureState.RUNNING
    values = {"done": run.step, "total": len(STEPS)}
    return {
        "state": run.state,
        "label": run.get_state_display(),
        "over": over,
        "share": 100 if run.state == ErasureState.DONE else 100 * run.step // len(STEPS),
        "words": "" if run.state == ErasureState.DONE else _("%(done)s of %(total)s steps") % values,
        "parts": "",
        "message": said(run.message),
        "waits": _("It goes on by itself.") if not over and run.next_at > timezone.now() else "",
    }


def deleted(run: ErasureReport) -> list[tuple[str, str]]:
    """Return what was deleted, as numbers and names of tables."""
    found = [(key, number) for key, number in sorted(run.counts.items()) if key not in CHANGED and number]
    return sorted(((grouped(number), _table(key)) for key, number in found), key=lambda row: row[1])


def changed(run: ErasureReport) -> list[tuple[str, str]]:
    """Return what stayed without the customer in it, as numbers and words."""
    return [(grouped(run.counts[key]), str(words)) for key, words in CHANGED.items() if run.counts.get(key)]


def _table(key: str) -> str:
    """Return the name of what was counted under this key."""
    if key in DELETED:
        return str(DELETED[key])
    try:
        return str(capfirst(apps.get_model(key)._meta.verbose_name_plural))
    except (LookupError, ValueError):  # of another version
        return key
