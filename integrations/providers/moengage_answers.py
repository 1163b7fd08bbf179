"""How MoEngage answers: one result for everything in a call, and an error that is an object, a text, or a description.

Facts from moengage.com/docs: api/data/data.yaml and data-overview (statuses, types, messages), api/rate-limits (the reset
header), ip-whitelisting-in-moengage (an `error` that is a text). Which of them stop an integration is our own decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import moengage_guide as guide
from integrations.providers.base import Answer, Call, Fault, Outcome, Reading, Response, Verdict, Verification

ALL_ATTRIBUTES = "*"  # the profile as a whole was refused
DEFAULT_HOLD_SECONDS = 10.0  # the recorder lengthens repeated holds
SHORTEST_HOLD_SECONDS = 1.0
LONGEST_DELTA_SECONDS = 3600  # a larger reset is a moment in epoch seconds: the pages contradict each other
EPOCH_MILLISECONDS = 1e11  # larger still is milliseconds
CREDENTIALS = (401, 403, 409)
CONFIGURATION_TYPES = frozenset(
    [
        "paramsrequired",
        "blacklisted",
        "authenticationrequired",
        "authenticationmismatch",
        "blockedclient",
        "accountsuspended",
        "accounttemporarilysuspended",
        "ipvalidationrequired",
    ]
)
CONTENT_TYPES = frozenset(["missingattributeerror", "arrayfielderror"])  # about what was sent: it will never be taken
MAY_PASS = (408, 425)  # the only refusals below 500, besides 429, after which the same request may succeed
LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Said:
    """What an error envelope says. `kind` is its type without spaces, in lower case."""

    kind: str = ""
    words: str = ""
    attribute: str = ""

    def names(self, text: str) -> bool:
        """Tell whether type or message contain this."""
        return text in self.kind or text in self.words.lower()


def said(answer: Response) -> Said:
    """Return what an answer says in any of its shapes."""
    body = answer.json()
    if not isinstance(body, Mapping):
        return Said()
    error = body.get("error")
    if isinstance(error, str):
        words = " ".join(str(part) for part in (error, body.get("message")) if part)
        return Said(_kind(error), words[:LONGEST_WORDS])
    if not isinstance(error, Mapping):
        error = {"type": body.get("title"), "message": body.get("description") or body.get("message")}
    words = str(error.get("message") or error.get("type") or "")
    return Said(_kind(error.get("type")), words[:LONGEST_WORDS], str(error.get("attribute") or ""))


def _kind(value: Any) -> str:
    """Return an error's type without its spaces and case, which differ between pages."""
    return "".join(str(value or "").split()).lower()


def read_call(call: Call, answer: Response) -> Reading:
    """Read the answer to events, profiles, or both."""
    status = answer.status
    if 200 <= status < 300:
        return _read_success(call, answer)
    error = said(answer)
    if status in CREDENTIALS or (status == 400 and _is_configuration(error)):
        return Reading(Verdict(Outcome.CONFIGURATION, str(status), reason(status, error)))
    if status == 429:
        words = error.words or str(_("MoEngage has had too many events of this workspace for now."))
        seconds, is_named = _hold(answer.headers)
        return Reading(Verdict(Outcome.TRANSIENT, "429", words), hold_seconds=seconds, is_hold_named=is_named)
    if status in (400, 413):
        return _read_refusal(call, status, error)
    if 400 <= status < 500 and status not in MAY_PASS:
        return Reading(Verdict(Outcome.PERMANENT, str(status), error.words or str(_("MoEngage does not take this request."))))
    return Reading(Verdict(Outcome.TRANSIENT, str(status), error.words or f"HTTP {status}"))


def _read_success(call: Call, answer: Response) -> Reading:
    """Read a 2xx: accepted as a whole, or nobody knows."""
    body = answer.json()
    status = body.get("status") if isinstance(body, Mapping) else None
    if status == "success":
        contacts = frozenset(record.customer_ref for record in call.records if record.profile_hash)
        return Reading(Verdict(Outcome.ACCEPTED), contacts=contacts)
    if status in ("fail", "error"):
        error = said(answer)
        if _is_configuration(error):
            return Reading(Verdict(Outcome.CONFIGURATION, str(status), reason(answer.status, error)))
        if error.kind in CONTENT_TYPES:
            return _read_refusal(call, answer.status, error)
        words = error.words or str(_("MoEngage did not accept the call and gave no reason."))
        return Reading(Verdict(Outcome.TRANSIENT, str(status), words))
    return Reading(Verdict(Outcome.UNCERTAIN, "unreadable", str(_("MoEngage's answer could not be read."))))


def _is_configuration(error: Said) -> bool:
    """Tell whether a refusal concerns the account: its workspace, its key, a missing parameter, a blacklist."""
    wrong_workspace = error.kind == "invalidparams" and "app_id" in error.words.lower()
    return wrong_workspace or error.kind in CONFIGURATION_TYPES or error.names("account is blacklisted")


def _read_refusal(call: Call, status: int, error: Said) -> Reading:
    """Read a refusal of what was sent. A call of several is split; a single event is tried again without the profile."""
    words = error.words or str(_("MoEngage could not read the request."))
    if error.attribute:
        words = f"{words} ({error.attribute})"
    profiles = [record.customer_ref for record in call.records if record.profile_hash]
    events = len(call.delivery_ids)
    if len(profiles) == 1 and events <= 1:
        outcome = Outcome.TRANSIENT if events else Outcome.PERMANENT
        return Reading(Verdict(outcome, str(status), words), refused={profiles[0]: ALL_ATTRIBUTES})
    return Reading(Verdict(Outcome.PERMANENT, str(status), words), split=True)


def _hold(headers: Mapping[str, str]) -> tuple[float, bool]:
    """Return how long to wait, and whether MoEngage says so itself."""
    named = reset_seconds(headers)
    return (DEFAULT_HOLD_SECONDS, False) if named is None else (named, True)


def reset_seconds(headers: Mapping[str, str]) -> float | None:
    """Return what `x-ratelimit-reset` says: seconds left, or a moment by the answer's own clock. None: nothing readable."""
    try:
        reset = float(headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    if not math.isfinite(reset) or reset < 0:
        return None
    if reset > LONGEST_DELTA_SECONDS:
        try:
            clock = parsedate_to_datetime(headers.get("date", "")).timestamp()
        except (TypeError, ValueError):
            return None
        reset = (reset / 1000 if reset > EPOCH_MILLISECONDS else reset) - clock
    return min(max(reset, SHORTEST_HOLD_SECONDS), float(LONGEST_DELTA_SECONDS))


def reason(status: int, error: Said) -> str:
    """Return the sentence for an account that cannot send: what it is about, then MoEngage's own words."""
    if error.names("ipvalidation") or error.names("ip validation"):
        text = _("MoEngage lets in listed IP addresses only, and ours is not among them (%(status)d).")
    elif error.names("temporarily"):
        text = _("MoEngage has suspended this account for a while (%(status)d).")
    elif error.names("suspended") or error.names("blockedclient") or error.names("blacklisted"):
        text = _("MoEngage has blocked or suspended this account (%(status)d).")
    elif error.names("mismatch in params"):
        text = _("The Workspace ID in the address and the one in the key differ (%(status)d).")
    elif error.names("key is not set"):
        text = _("No Data key has been made in this workspace yet (%(status)d).")
    elif status == 403:
        text = _("MoEngage does not let this key use the Data API (%(status)d).")
    else:
        text = _("MoEngage refused the Workspace ID, the Data key or the data centre (%(status)d).")
    return f"{text % {'status': status}} {error.words}".strip()


def _fix(error: Said) -> str:
    """Return what to do about it."""
    if error.names("ipvalidation") or error.names("ip validation"):
        return str(guide.FIX_IP)
    if error.names("temporarily"):
        return str(guide.FIX_TEMPORARY)
    if error.names("suspended") or error.names("blockedclient") or error.names("blacklisted"):
        return str(guide.FIX_SUSPENDED)
    return str(guide.FIX_CREDENTIALS)


def bad_prefix(complaint: str) -> Verification:
    """Return the end of a check that was not made, since no data centre has this prefix."""
    return Verification(False, complaint, str(guide.FIX_PREFIX))


def read_check(answer: Answer, workspace: str, prefix: str) -> Verification:
    """Read the connection test. The network being down, or MoEngage being busy, is not a wrong key."""
    if isinstance(answer, Fault):
        words = str(_("MoEngage could not be reached."))
        return Verification(False, words, str(guide.FIX_NETWORK), answer.message, reachable=False)
    error = said(answer)
    if 200 <= answer.status < 300:
        return _read_checked(answer, error, workspace, prefix)
    if answer.status == 400 or answer.status in CREDENTIALS:
        return Verification(False, reason(answer.status, error), _fix(error))
    words = str(_("MoEngage answered %(status)d to the check.") % {"status": answer.status})
    busy = answer.status == 429 or answer.status >= 500
    fix = guide.FIX_LATER if busy else guide.FIX_CREDENTIALS
    return Verification(False, words, str(fix), error.words, reachable=not busy)


def _read_checked(answer: Response, error: Said, workspace: str, prefix: str) -> Verification:
    """Read a 2xx of the connection test: only `success` is one."""
    body = answer.json()
    if not isinstance(body, Mapping):
        words = str(_("MoEngage's answer to the check could not be read."))
        return Verification(False, words, str(guide.FIX_LATER), reachable=False)
    if body.get("status") != "success":
        return Verification(False, reason(401, error), _fix(error))
    name = str(body.get("app_name") or workspace)
    words = _("Connected to workspace %(name)s (data centre %(prefix)s).") % {"name": name, "prefix": prefix}
    return Verification(True, detail=str(words))
