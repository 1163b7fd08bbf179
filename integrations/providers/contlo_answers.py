"""How Contlo answers: events and contacts by `success`, the credential check and its fallback.

Facts from developer.contlo.com/reference/track-api-1 and /reference/getting-started-with-your-api, the reply shapes from
Contlo's public SDKs (contlo/Contlo-iOS-SDK, AmanContlo/contlo-android-sdk) and its Zapier notes. The status codes of refusals
are not published: whatever names the key is taken for the key's fault, and confirmed by the check before anything stops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import contlo_guide as guide
from integrations.providers.base import Account, Answer, Call, Fault, Outcome, Reading, Response, Verdict, Verification

# The words are not published. Narrow on purpose: an event whose "key" (a property) is wrong must not stop the integration.
NAMES_THE_KEY = re.compile(
    r"(api|private|public|secret|access|auth\w*)[\s_-]?key"
    r"|(invalid|wrong|unknown|expired|revoked|inactive) key\b"
    r"|\bkey (is |was |has been )?(not|invalid|wrong|unknown|expired|revoked|inactive)"
    r"|unauthori[sz]ed|unauthenticated|not authori[sz]ed|forbidden",
    re.IGNORECASE,
)
REFUSED_STATUSES = frozenset([400, 404, 413, 422])
BUSY_STATUSES = frozenset([408, 425, 429])
FIRST_HOLD_SECONDS = 5.0  # no figures are published; the recorder lengthens repeated holds
WHOLE_PROFILE = "*"
# What the SDK's ConfigService decodes from /v1/fetch_config; `logo_url` may be null.
CONFIG_SHAPE = {"logging_enabled": bool, "sync_timeframe": int, "log_level": int, "notification_brand_icon": bool}


def read_call(call: Call, answer: Response) -> Reading:
    """Read what Contlo said to one event or one contact."""
    verdict = _verdict(answer)
    if verdict.outcome is Outcome.ACCEPTED:
        return Reading(verdict, contacts=frozenset(r.customer_ref for r in call.records if r.profile_hash))
    if answer.status == 429:
        return Reading(verdict, hold_seconds=FIRST_HOLD_SECONDS)
    if verdict.outcome is Outcome.PERMANENT and not call.delivery_ids:
        return Reading(verdict, refused={record.customer_ref: WHOLE_PROFILE for record in call.records})
    return Reading(verdict)


def _verdict(answer: Response) -> Verdict:
    """Return what the status means, and below 300 the body. A 5xx wins over what its body says."""
    status, body = answer.status, answer.json()
    words = _words(body)
    if 200 <= status < 300:
        return _success_verdict(answer, body, words)
    if status in (401, 403):
        return Verdict(Outcome.CONFIGURATION, str(status), _key_reason(words))
    if status >= 500 or status in BUSY_STATUSES:
        busy = str(_("Contlo has too many calls under way.")) if status == 429 else f"HTTP {status}"
        return Verdict(Outcome.TRANSIENT, str(status), words or busy)
    if NAMES_THE_KEY.search(words):
        return Verdict(Outcome.CONFIGURATION, str(status), _key_reason(words))
    if status in REFUSED_STATUSES:
        return Verdict(Outcome.PERMANENT, str(status), words or str(_("Contlo refused the event.")))
    return Verdict(Outcome.TRANSIENT, str(status), words or f"HTTP {status}", max_tries=2)


def _success_verdict(answer: Response, body: Any, words: str) -> Verdict:
    """Return what a 2xx means: `success` decides. An object without it, or no body at all, is a yes."""
    if not answer.text.strip():
        return Verdict(Outcome.ACCEPTED)
    said = _success(body)
    if said is True or (isinstance(body, dict) and body.get("success") is None):
        return Verdict(Outcome.ACCEPTED)
    if said is None:
        return Verdict(Outcome.UNCERTAIN, "unreadable", str(_("Contlo's answer could not be read.")))
    if NAMES_THE_KEY.search(words):
        return Verdict(Outcome.CONFIGURATION, "success_false", _key_reason(words))
    return Verdict(Outcome.PERMANENT, "success_false", words or str(_("Contlo refused the event and gave no reason.")))


def _success(body: Any) -> bool | None:
    """Return the body's `success`, also as the text that Contlo's Android SDK compares with; None where it says neither."""
    said = str(body.get("success")).lower() if isinstance(body, dict) else ""
    return {"true": True, "false": False}.get(said)


def _words(body: Any) -> str:
    """Return the provider's own words, cut to a line."""
    text = body.get("error") or body.get("message") or "" if isinstance(body, dict) else ""
    return str(text)[:300]


def _key_reason(words: str) -> str:
    """Return the sentence for a refused key."""
    return str(_("Contlo refused the Private API Key. %(words)s") % {"words": words}).strip()


def read_check(answer: Answer, account: Account) -> Verification | None:
    """Read the documented key check. None: it is not there any more, ask the fallback."""
    if isinstance(answer, Response) and answer.status == 404:
        return None
    refusal = _check_refusal(answer)
    if refusal is not None:
        return refusal
    assert isinstance(answer, Response)
    if 200 <= answer.status < 300 and _success(answer.json()) is True:
        return _connected(account)
    return _unexpected(answer)


def read_config(answer: Answer, account: Account) -> Verification:
    """Read the fallback: the SDKs' configuration, which is only given for a key that Contlo knows."""
    refusal = _check_refusal(answer)
    if refusal is not None:
        return refusal
    assert isinstance(answer, Response)
    body = answer.json()
    if 200 <= answer.status < 300 and isinstance(body, dict) and _is_config(body):
        return _connected(account)
    return _unexpected(answer)


def _is_config(body: Mapping[str, Any]) -> bool:
    """Tell whether this is the configuration that the SDKs decode."""
    return all(type(body.get(name)) is kind for name, kind in CONFIG_SHAPE.items())


def _check_refusal(answer: Answer) -> Verification | None:
    """Return the end of a check that found a fault, a busy Contlo or a wrong key; None where it goes on."""
    if isinstance(answer, Fault):
        reason = str(_("Contlo could not be reached."))
        return Verification(False, reason, str(guide.FIX_NETWORK), answer.message, reachable=False)
    body = answer.json()
    words = _words(body)
    if answer.status >= 500 or answer.status in BUSY_STATUSES:
        reason = str(_("Contlo answered %(status)d to the check.") % {"status": answer.status})
        return Verification(False, reason, str(guide.FIX_LATER), words, reachable=False)
    if answer.status in (401, 403) or _success(body) is False:
        return Verification(False, _key_reason(words), str(guide.FIX_KEY))
    return None


def _unexpected(answer: Response) -> Verification:
    """Return the end of a check that nobody can make sense of: nothing was learned about the key."""
    reason = str(_("Contlo's answer to the check could not be read (%(status)d).") % {"status": answer.status})
    return Verification(False, reason, str(guide.FIX_MOVED), _words(answer.json()), reachable=False)


def _connected(account: Account) -> Verification:
    """Return a good end, with what still has to be done on Contlo's side."""
    detail = str(_("Contlo accepted the key."))
    if account.settings.get("app_installed") is not True:
        detail += " " + str(_("Next, install the Nector app in Contlo's App Market: without it events may stay invisible."))
    return Verification(True, detail=detail)
