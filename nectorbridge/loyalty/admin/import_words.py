"""An import in numbers and words: what a file would do, how far it is, what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from events.admin.base import grouped, link, local
from events.admin.csv_file import BYTE_ORDER_MARK, line
from integrations.kept_words import said
from nectorbridge.loyalty.imports.reading import NAMES
from nectorbridge.loyalty.models import ImportRun, ImportState

PAGE = 2000
SAMPLE = (
    ("email", "mobile", "points_balance", "points_operation", "expiry", "reason"),
    ("asha@example.com", "+919876543210", "250", "cr", "2027-12-31", "Welcome back"),
    ("ravi@example.com", "", "40", "cr", "365", "Birthday"),
    ("", "+919812345678", "15", "dr", "", "Correction"),
)


def progress_of(run: ImportRun) -> dict[str, Any]:
    """Return what the page and its script show."""
    if run.state == ImportState.DONE:
        words = ngettext("%(count)s row", "%(count)s rows", run.done) % {"count": grouped(run.done)}
    else:
        words = _("%(done)s of %(total)s rows") % {"done": grouped(run.done), "total": grouped(run.rows)}
    parts = [f"{label}: {grouped(count)}" for label, count in results_of(run) if count]
    waits = run.state == ImportState.RUNNING and run.next_at > timezone.now()
    return {
        "state": run.state,
        "label": run.get_state_display(),
        "over": run.state != ImportState.RUNNING,
        "share": 100 if run.state == ImportState.DONE else min(99, 100 * run.done // run.rows) if run.rows else 0,
        "words": words,
        "parts": "; ".join(parts),
        "message": said(run.message),
        "waits": _("It goes on by itself.") if waits else "",
    }


def results_of(run: ImportRun) -> list[tuple[str, int]]:
    """Return what came of an import as labels and numbers."""
    coins = {"coins": run.merchant.coin_name}
    return [
        (_("New customers"), run.created),
        (_("Customers completed"), run.filled),
        (_("Credits"), run.credited),
        (capfirst(_("%(coins)s in") % coins), int(run.coins_in)),
        (_("Debits"), run.debited),
        (capfirst(_("%(coins)s out") % coins), int(run.coins_out)),
        (_("Rows with errors"), run.failed),
    ]


def preview_of(run: ImportRun) -> dict[str, Any]:
    """Return what the page before the start shows."""
    found, coins, zone = run.preview, {"coins": run.merchant.coin_name}, run.merchant.timezone
    looked = found.get("looked", 0)
    tiles = [
        (_("Rows"), grouped(run.rows)),
        (_("Rows with errors"), grouped(found.get("bad", 0))),
        (_("New customers, about"), grouped(found.get("new", 0))),
        (capfirst(_("%(coins)s in") % coins), grouped(found.get("coins_in", 0))),
        (capfirst(_("%(coins)s out, at most") % coins), grouped(found.get("coins_out", 0))),
    ]
    return {
        "tiles": tiles,
        "partly": grouped(looked) if looked < run.rows else "",
        "is_hopeless": bool(looked) and found.get("bad", 0) == run.rows,
        "mapping": [(name, run.columns[name]) for name in NAMES if name in run.columns],
        "ignored": ", ".join(run.ignored),
        "lines": [line | {"expires": _moment(line["expires_at"], zone)} for line in found.get("shown", [])],
        "faults": [fault | {"column": run.columns.get(fault["column"], fault["column"])} for fault in found.get("faults", [])],
        "twin": _twin(run),
    }


def _moment(said: str, zone: str) -> str:
    return local(datetime.fromisoformat(said), zone) if said else ""


def _twin(run: ImportRun) -> dict[str, str] | None:
    """Return another import of the very same file that was started, if there is one: coins would come twice."""
    same = ImportRun.objects.filter(merchant=run.merchant_id, fingerprint=run.fingerprint, started_at__isnull=False)
    twin = same.exclude(pk=run.pk).exclude(fingerprint="").order_by("-id").first()
    if twin is None:
        return None
    return {"at": local(twin.started_at, run.merchant.timezone), "url": link("loyalty_importrun_change", twin.pk)}


def fault_lines(run: ImportRun) -> Iterator[str]:
    """Yield an import's errors as CSV, in the order of the file's rows."""
    yield BYTE_ORDER_MARK + line([_("row"), _("column"), _("message"), _("value")])
    last = 0
    while page := list(run.faults.filter(pk__gt=last).order_by("pk")[:PAGE]):
        yield "".join(line([fault.row, fault.column, said(fault.message), fault.value]) for fault in page)
        last = page[-1].pk
    if run.faults_lost:
        words = ngettext("%(count)s more error is not listed.", "%(count)s more errors are not listed.", run.faults_lost)
        yield line(["", "", words % {"count": grouped(run.faults_lost)}, ""])


def sample() -> str:
    """Return a file to begin with."""
    return BYTE_ORDER_MARK + "".join(line(row, is_ours=True) for row in SAMPLE)
