"""How far a check in the background is, in words: for the set-up page, and for the script that watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.background import QUEUED, waits_long
from integrations.models import Integration, Status


@dataclass(frozen=True, slots=True)
class Progress:
    """A check under way. `late`: no worker took it up."""

    done: bool
    late: bool
    words: str
    elapsed: str

    def as_json(self) -> dict[str, Any]:
        """Return what the script needs."""
        return {"done": self.done, "late": self.late, "words": self.words, "elapsed": self.elapsed}


def progress_of(integration: Integration) -> Progress:
    """Return how far the check is; done, where none is under way."""
    if integration.status != Status.INITIALIZING:
        return Progress(True, False, _("The check is over."), "")
    began = integration.check_started_at or timezone.now()
    seconds = max(0, int((timezone.now() - began).total_seconds()))
    elapsed = ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    late = waits_long(integration)
    if late:
        words = _("No worker has taken this up: it seems that none is running.")
    elif (integration.check_result or {}).get("state") == QUEUED:
        words = _("Starting the check …")
    else:
        words = _("Asking %(provider)s …") % {"provider": integration.label}
    return Progress(False, late, words, elapsed)
