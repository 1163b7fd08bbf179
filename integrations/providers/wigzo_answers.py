"""How Wigzo answers: events, contacts, and the test profile of a check.

Only "200, successful" is published (github.com/lakshaysaini94/apidoc). That `status: "success"` is a yes comes from Wigzo's
Android SDK (github.com/pleomax00/wigzosdks), the keys `status`, `code` and `message` from its WordPress plugin. What a wrong
token is answered with is known to nobody: whatever speaks of the tokens is taken for their fault, and checked before anything
stops.
"""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import wigzo_guide as guide
from integrations.providers.base import Answer, Call, Fault, Outcome, Reading, Response, Verdict, Verification

# The words are not published. A property or an address that happens to hold one of them (`eventval.token`, `asha@x.org`) must
# not stop the integration, so none of them counts behind a dot, an `@` or a hyphen.
WRONG = r"invalid|wrong|unknown|expired|revoked|inactive|missing|bad|incorrect"
NAMES_THE_TOKENS = re.compile(
    rf"(?<![.@\w-])((api|org|organi[sz]ation|access|auth|bearer)[\s_-]?(tokens?|keys?|credentials?|id)\b"
    rf"|({WRONG})[\s_-](api[\s_-]?|org[\s_-]?|access[\s_-]?|auth[\s_-]?)?(tokens?|org(ani[sz]ation)?|credentials?)\b"
    rf"|tokens?[\s_-](is[\s_-]|was[\s_-]|has[\s_-]|not[\s_-])?({WRONG}|found|mismatch|valid|required)\b"
    r"|tokens?\b|org(ani[sz]ation)?\b|credentials?\b|un(authori[sz]ed|authenticated)|not[\s_-]authori[sz]ed|forbidden"
    r"|(access|permission)[\s_-]denied|authenticat\w+|authori[sz]ation)",
    re.IGNORECASE,
)
REFUSED_STATUSES = frozenset([400, 404, 409, 413, 415, 422])
BUSY_STATUSES = frozenset([408, 425, 429])
ERROR_WORDS = frozenset(["error", "errors", "fail", "failed", "failure", "invalid", "rejected", "denied"])
STRANGER_WORDS = frozenset(["unauthorized", "unauthorised", "unauthenticated", "forbidden"])  # as a body's `status`
WORD_KEYS = ("message", "error", "errors", "msg", "reason", "detail", "description")
FIRST_HOLD_SECONDS = 5.0  # no figures are published; the recorder lengthens repeated holds
WHOLE_PROFILE = "*"
UNREADABLE = "unreadable"
LONGEST_WORDS = 300
LARGEST_CODE = 5  # digits; a longer number is no status


def read_call(call: Call, answer: Response) -> Reading:
    """Read what Wigzo said to one event or one contact."""
    verdict = _verdict(answer)
    if verdict.outcome is Outcome.ACCEPTED:
        return Reading(verdict, contacts=frozenset(record.customer_ref for record in call.records if record.profile_hash))
    if answer.status == 429:
        return Reading(verdict, hold_seconds=FIRST_HOLD_SECONDS)
    if verdict.outcome is Outcome.PERMANENT and not call.delivery_ids:
        return Reading(verdict, refused={record.customer_ref: WHOLE_PROFILE for record in call.records})
    return Reading(verdict)


def _verdict(answer: Response) -> Verdict:
    """Return what the status means, and below 300 the body. A 5xx wins over what its body says."""
    status, words = answer.status, _words(answer)
    if 200 <= status < 300:
        return _success_verdict(answer, words)
    if status in (401, 403):
        return Verdict(Outcome.CONFIGURATION, str(status), _token_reason(words))
    if status >= 500 or status in BUSY_STATUSES:
        busy = str(_("Wigzo has too many calls under way.")) if status == 429 else f"HTTP {status}"
        return Verdict(Outcome.TRANSIENT, str(status), words or busy)
    if status == 404:
        moved = str(_("Wigzo has nothing at this address: its host or path may have moved."))
        return Verdict(Outcome.PERMANENT, "404", f"{moved} {words}".strip())
    if NAMES_THE_TOKENS.search(words):
        return Verdict(Outcome.CONFIGURATION, str(status), _token_reason(words))
    if status in REFUSED_STATUSES:
        return Verdict(Outcome.PERMANENT, str(status), words or str(_("Wigzo refused this and gave no reason.")))
    return Verdict(Outcome.TRANSIENT, str(status), words or f"HTTP {status}", max_tries=2)


def _success_verdict(answer: Response, words: str) -> Verdict:
    """Return what a 2xx means: a yes, unless the body carries the mark of an error or is no JSON at all."""
    marker = _error_marker(answer)
    if not marker:
        return Verdict(Outcome.ACCEPTED)
    if marker == UNREADABLE:
        return Verdict(Outcome.UNCERTAIN, UNREADABLE, str(_("Wigzo's answer could not be read.")))
    if marker in ("401", "403") or NAMES_THE_TOKENS.search(words):
        return Verdict(Outcome.CONFIGURATION, marker, _token_reason(words))
    return Verdict(Outcome.PERMANENT, marker, words or str(_("Wigzo refused this and gave no reason.")))


def _error_marker(answer: Response) -> str:
    """Return what marks a 2xx as an error: the body's own code or `error`; `unreadable`; nothing where it is a yes."""
    if not answer.text.strip():
        return ""
    body = _json(answer)
    if body is answer:
        return UNREADABLE
    found = (_marker(part) for part in (body if isinstance(body, list) else [body]))
    return next(filter(None, found), "")


def _marker(body: Any) -> str:
    """Return the mark in one object, or in a bare word."""
    if not isinstance(body, dict):
        return "error" if str(body).strip().lower() in {*ERROR_WORDS, "false"} else ""
    status = str(body.get("status")).strip().lower()
    if status == "success":  # the SDK's rule for "it has arrived"
        return ""
    if status in STRANGER_WORDS:
        return "401"
    code = next((code for key in ("code", "status") if (code := _number(body.get(key))) >= 400), 0)
    if code:
        return str(code)
    said_no = status in {*ERROR_WORDS, "false"} or str(body.get("success")).strip().lower() == "false"
    return "error" if said_no or body.get("error") or body.get("errors") else ""


def _number(value: Any) -> int:
    """Return a code that is a number, also as text; 0 where it is none."""
    text = str(value).strip().removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LARGEST_CODE else 0


def _json(answer: Response) -> Any:
    """Return the body as JSON; the answer itself where it is none, since `null` is JSON."""
    try:
        body = answer.json()
    except RecursionError:
        return answer
    return answer if body is None and answer.text.strip() != "null" else body


def _words(answer: Response) -> str:
    """Return the provider's own words, cut to a line; nothing of a page in HTML."""
    body = _json(answer)
    if body is answer:
        return "" if answer.text.lstrip().startswith("<") else " ".join(answer.text.split())[:LONGEST_WORDS]
    parts = body if isinstance(body, list) else [body]
    said = next((part[key] for part in parts if isinstance(part, dict) for key in WORD_KEYS if part.get(key)), "")
    if not isinstance(body, dict | list) and isinstance(body, str):
        said = body
    return " ".join(str(said).split())[:LONGEST_WORDS]


def _token_reason(words: str) -> str:
    """Return the sentence for refused tokens."""
    return str(_("Wigzo refused the Org token or the API token. %(words)s") % {"words": words}).strip()


def read_check(answer: Answer) -> Verification:
    """Read the answer to the test profile. A yes is no proof of the API token, and says so."""
    if isinstance(answer, Fault):
        moved = answer.kind == "redirect"
        fix = guide.FIX_MOVED if moved else guide.FIX_NETWORK
        return Verification(False, str(_("Wigzo could not be reached.")), str(fix), answer.message, reachable=False)
    verdict = _verdict(answer)
    if verdict.outcome is Outcome.ACCEPTED:
        return Verification(True, detail=f"{guide.CONNECTED} {guide.CANNOT_CONFIRM}")
    if verdict.outcome is Outcome.CONFIGURATION:
        return Verification(False, verdict.message, str(guide.FIX_TOKENS))
    if answer.status >= 500 or answer.status in BUSY_STATUSES:
        reason = str(_("Wigzo answered %(status)d to the check.") % {"status": answer.status})
        return Verification(False, reason, str(guide.FIX_LATER), _words(answer), reachable=False)
    reason = str(_("Wigzo did not take the test profile (%(status)d).") % {"status": answer.status})
    return Verification(False, reason, str(guide.FIX_MOVED), _words(answer), reachable=False)
