"""How far a bulk action is, in numbers and words: for its page, for lists, and for the script that keeps them fresh."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from events.admin.again import left_out_words, number_words
from events.admin.base import grouped
from events.bulk_filter import Counted
from events.models import BulkAction, BulkState, What
from events.verbs import TOUCHED, Fate
from integrations.kept_words import said


def share_of(run: BulkAction) -> int:
    """Return how far a run is, from 0 to 100: by rows where they were counted, otherwise by how far the cursor came."""
    if run.state == BulkState.DONE:
        return 100
    if not run.is_more and run.total:
        return min(99, 100 * run.handled // run.total)
    whole = run.upper_id.int - run.lower_id.int
    return min(99, max(0, 100 * (run.cursor.int - run.lower_id.int) // whole)) if whole > 0 else 0


def progress_of(run: BulkAction) -> dict[str, Any]:
    """Return what the page and its script show."""
    total = Counted(run.total, run.is_more) if run.total >= run.handled or not run.is_more else Counted(run.handled, True)
    if run.state == BulkState.DONE:
        words = ngettext("%(count)s delivery", "%(count)s deliveries", run.handled) % {"count": grouped(run.handled)}
    else:
        words = _("%(done)s of %(total)s deliveries") % {"done": grouped(run.handled), "total": number_words(total)}
    waits = run.state == BulkState.RUNNING and run.next_at > timezone.now()
    done = [f"{grouped(run.counts[fate])} {fate.label}" for fate in TOUCHED if run.counts.get(fate)]
    return {
        "state": run.state,
        "label": run.get_state_display(),
        "over": run.state != BulkState.RUNNING,
        "share": share_of(run),
        "words": words,
        "parts": "; ".join([*done, *left_out_words(run.counts)]),
        "message": said(run.message),
        "waits": _("It goes on by itself.") if waits else "",
    }


def rows_of(run: BulkAction) -> list[tuple[str, str]]:
    """Return what became of the deliveries: a number and words for each fate that any of them met."""
    return [(grouped(run.counts[fate]), _sentence(str(fate.label))) for fate in Fate if run.counts.get(fate)]


def _sentence(words: str) -> str:
    """Return words with a capital."""
    return words[:1].upper() + words[1:]


def summary_of(run: BulkAction) -> str:
    """Return what a run does, as a heading."""
    total = number_words(Counted(run.total, run.is_more))
    titles = {
        What.RETRY: ngettext("Retry of %(count)s delivery", "Retry of %(count)s deliveries", run.total),
        What.REPLAY: ngettext("Replay of %(count)s delivery", "Replay of %(count)s deliveries", run.total),
        What.CANCEL: ngettext("Withdrawal of %(count)s delivery", "Withdrawal of %(count)s deliveries", run.total),
    }
    return titles[What(run.what)] % {"count": total}
