"""When what failed is tried again, as a page of docs made from the table that drives it: `docs/retries.md`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.utils.translation import override

from events.conf import DEFAULTS
from events.retry import JITTER_SHARE, LONGEST_HOLD_SECONDS, LONGEST_RETRY_AFTER_SECONDS
from events.timeline import whole
from integrations.providers import all_providers

PATH = Path(__file__).resolve().parent.parent / "docs" / "retries.md"
DAY = 86_400
PAGE = """# Retries

Written by `manage.py retrytable` from the default of `DELIVERY_RETRY_STEPS`; do not edit.

{table}

{tries} tries in {days:.1f} days, then *failed*, which a person can retry. Each wait is up to {jitter} % longer, drawn once for
all that failed in one call, and never shorter. The moment of the next try is stored with the delivery: a restart makes none
early and adds none.

## What costs no try

- **`Retry-After`** on 429 and 503, in seconds or as a date, and MoEngage's `x-ratelimit-reset`, as seconds left or as a
  moment: the whole integration is left alone until then, for {longest} at most.
- A refusal for now without a time: the integration is left alone for a while that doubles up to {hold}.
- A pause, a queue that is held, and a key that the provider refuses.
- A claim whose worker died before it sent anything.

## What may have arrived

A read timeout, a connection cut after the request left, an unreadable success, a worker killed in between: *uncertain*. Such a
delivery is sent again {resends} times at most (`DELIVERY_UNCERTAIN_RESENDS`), the first time after {second}, always with the same
`nector_delivery_id`, then it has failed as *uncertain*. An event can say another number under *Delivery*; 0 is for what must
never arrive twice. A smaller number also withdraws resends that are planned already.

## What is no longer worth sending

An event can say for how long it is worth sending (*Delivery*, counted from what happened). Events about coins or coupons that
expire end with them, also earlier. The moment is stored when the activity is recorded; changing the event changes it for later
ones. No try is planned beyond it: what waits, retries or is held until then is *skipped* with the reason *stale* and a word why,
also after a hold of days. Right before sending, the ledger is asked about events that may be overtaken: a coupon used or
cancelled meanwhile, coins spent before they could expire.

- A **test event** is never stale: somebody waits for it.
- A **retry** or a **replay** counts the event's own limit from that click. What has expired by itself stays expired, and the
  ledger is asked about it as about any other.
- Whether an uncertain delivery is stale or not, its tries and what they may have meant stay in its history.

{windows}
"""


def render() -> str:
    """Return the page."""
    steps = list(DEFAULTS["DELIVERY_RETRY_STEPS"])
    with override("en"):
        return PAGE.format(
            table=_table(steps),
            tries=len(steps) + 1,
            days=sum(steps) / DAY,
            jitter=round(JITTER_SHARE * 100),
            longest=whole(timedelta(seconds=LONGEST_RETRY_AFTER_SECONDS)),
            hold=whole(timedelta(seconds=LONGEST_HOLD_SECONDS)),
            resends=DEFAULTS["DELIVERY_UNCERTAIN_RESENDS"],
            second=whole(timedelta(seconds=steps[1])),
            windows=_windows(),
        )


def _table(steps: list[float]) -> str:
    """Return the tries with their waits, equal ones in one row."""
    rows = ["| try | after the one before | since the first, at the earliest |", "|---|---|---|", "| 1 | at once | |"]
    passed, start = 0.0, 0
    while start < len(steps):
        end = start
        while end + 1 < len(steps) and steps[end + 1] == steps[start]:
            end += 1
        passed += steps[start] * (end - start + 1)
        numbers = f"{start + 2}" if start == end else f"{start + 2} to {end + 2}"
        since = f"{passed / DAY:.1f} days" if passed >= DAY else f"{passed / 3600:.1f} h" if passed >= 3600 else f"{passed:.0f} s"
        rows.append(f"| {numbers} | {whole(timedelta(seconds=steps[start]))} | {since} |")
        start = end + 1
    return "\n".join(rows)


def _windows() -> str:
    """Return what providers do with events that come late."""
    said = [
        f"{provider.label} starts live journeys only from events less than {whole(provider.live_window)} old: "
        "an event's page says so,\nand so does the page of a delivery that came later."
        for provider in all_providers()
        if provider.live_window
    ]
    return "\n".join(said)
