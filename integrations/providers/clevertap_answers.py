"""How CleverTap answers: an upload record by record, a refusal as a whole, the credential check.

Facts from developer.clevertap.com/docs/api-errors and from recorded answers: the echoed `record` is not byte-identical
to what was sent, and `status` may say `success` beside refused records, so neither is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import clevertap_guide as guide
from integrations.providers.base import Account, Answer, Call, Fault, Outcome, Reading, Response, Verdict, Verification
from integrations.providers.values import clean_text

# docs/api-errors, per record. 514-520 concern one attribute of a profile; it is left out and the rest is sent again.
REFUSED_ATTRIBUTES = {
    514: "Gender",
    515: "Email",
    516: "Phone",
    517: "Employed",
    518: "Education",
    519: "Married",
    520: "Age",
}
RECORD_CODES = {
    509: _("CleverTap got no event name."),
    512: _("CleverTap could not read the structure of this event."),
    513: _("This event name is reserved by CleverTap. Give the event another name."),
    522: _("CleverTap refused the number of properties of this event."),
    523: _("CleverTap found no identity in this event."),
    524: _("CleverTap took this record neither for an event nor for a profile."),
    525: _("CleverTap could not read the time of this event."),
    526: _("CleverTap refused the identity of this event."),
    528: _("This event is discarded in the CleverTap schema. Restore it in CleverTap under Settings > Schema."),
}
RECORD_RETRY_CODE = 555
WHOLE_CALL_CODES = (401, 403, 429)  # in the body of a refusal; then they count, whatever the status line says
MAY_PASS = (408, 425)  # the only refusals below 500, besides 429, after which the same request may succeed
SKIPPED_NUMBER = re.compile(r"Skipped record number\s*:\s*(\d+)")
FIRST_HOLD_SECONDS = 5.0  # 429 carries no Retry-After; the recorder lengthens repeated holds


def read_upload(call: Call, answer: Response) -> Reading:
    """Read a 2xx: which records were refused and why; everything else was accepted."""
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("unprocessed"), list | None):
        return Reading(Verdict(Outcome.UNCERTAIN, "unreadable", str(_("CleverTap's answer could not be read."))))
    refusals = [item if isinstance(item, dict) else {"error": str(item)} for item in body.get("unprocessed") or []]
    if not refusals and body.get("status") == "fail" and _code(body) in WHOLE_CALL_CODES:
        return read_refusal(replace(answer, status=_code(body)))
    deliveries: dict[str, Verdict] = {}
    refused: dict[str, str] = {}
    unnamed: list[Verdict] = []
    named: set[int] = set()
    for item in refusals:
        index, verdict = _locate(call, item), _record_verdict(item)
        if index is None:
            unnamed.append(verdict)
            continue
        named.add(index)
        record = call.records[index]
        if record.delivery_id:
            deliveries[record.delivery_id] = verdict
        elif verdict.outcome is Outcome.PERMANENT:  # after any other refusal the next event brings the profile again
            refused[record.customer_ref] = REFUSED_ATTRIBUTES.get(_code(item), "*")
    contacts = {r.customer_ref for i, r in enumerate(call.records) if r.profile_hash and i not in named}
    rest = _rest(body, len(call.records) - len(named), unnamed)
    accepted = rest.outcome is Outcome.ACCEPTED
    return Reading(rest, deliveries, frozenset(contacts if accepted else ()), refused)


def _rest(body: Mapping[str, Any], others: int, unnamed: Sequence[Verdict]) -> Verdict:
    """Return the verdict on the records that no refusal names."""
    if others and len(unnamed) >= others:
        return unnamed[0]
    status, processed = body.get("status"), body.get("processed")
    if unnamed:
        message = _("CleverTap refused some records of this call without saying which.")
        return Verdict(Outcome.UNCERTAIN, unnamed[0].code, str(message))
    if status == "fail" and processed in (0, None) and others:
        reason = _error(body) or str(_("CleverTap accepted none of the records and gave no reason."))
        return Verdict(Outcome.TRANSIENT, str(body.get("code") or "fail"), reason)
    if status != "success" and isinstance(processed, int) and processed < others:
        message = _("CleverTap took %(taken)d of %(number)d records without saying which.")
        return Verdict(Outcome.UNCERTAIN, "partial", str(message % {"taken": processed, "number": others}))
    if status not in ("success", "partial", "fail"):
        return Verdict(Outcome.UNCERTAIN, "unreadable", str(_("CleverTap's answer has no known status.")))
    return Verdict(Outcome.ACCEPTED)


def _locate(call: Call, item: Mapping[str, Any]) -> int | None:
    """Return the index of the refused record: by its 1-based number, else by our delivery id in the echoed record."""
    match = SKIPPED_NUMBER.search(str(item.get("error", "")))
    if match and 1 <= int(match.group(1)) <= len(call.records):
        return int(match.group(1)) - 1
    echoed = item.get("record")
    data = echoed.get("evtData") if isinstance(echoed, dict) else None
    wanted = str(data.get("nector_delivery_id", "")) if isinstance(data, dict) else ""
    return next((i for i, record in enumerate(call.records) if wanted and record.delivery_id == wanted), None)


def _code(item: Mapping[str, Any]) -> int:
    """Return the refusal's code, or 0."""
    try:
        return int(item.get("code") or 0)
    except (TypeError, ValueError):
        return 0


def _record_verdict(item: Mapping[str, Any]) -> Verdict:
    """Return what a per-record code means. An unknown one is tried once more, then failed."""
    code, text = _code(item), _error(item)
    if code == RECORD_RETRY_CODE:
        return Verdict(Outcome.TRANSIENT, str(code), text or str(_("CleverTap had an error of its own.")))
    known = RECORD_CODES.get(code)
    if known is None and code not in REFUSED_ATTRIBUTES:
        return Verdict(Outcome.TRANSIENT, f"unknown:{code}", text, max_tries=2)
    return Verdict(Outcome.PERMANENT, str(code), f"{known} {text}".strip() if known else text)


def _error(body: Any) -> str:
    """Return the provider's own words, cut to a line."""
    text = body.get("error") or body.get("message") or "" if isinstance(body, dict) else ""
    return clean_text(str(text))[:300]


def read_refusal(answer: Response) -> Reading:
    """Read an answer that is no 2xx."""
    status, words = answer.status, _error(answer.json())
    if status in (401, 403):
        return Reading(Verdict(Outcome.CONFIGURATION, str(status), _credentials_reason(status, words)))
    if status == 429:
        message = words or str(_("CleverTap has too many calls under way for this account."))
        return Reading(Verdict(Outcome.TRANSIENT, "429", message), hold_seconds=FIRST_HOLD_SECONDS)
    if status in (400, 413):
        message = words or str(_("CleverTap could not read the request."))
        return Reading(Verdict(Outcome.PERMANENT, str(status), message), split=True)
    if 400 <= status < 500 and status not in MAY_PASS:
        message = words or str(_("CleverTap does not take this request."))
        return Reading(Verdict(Outcome.PERMANENT, str(status), message))
    return Reading(Verdict(Outcome.TRANSIENT, str(status), words or f"HTTP {status}"))


def _credentials_reason(status: int, words: str) -> str:
    """Return the sentence for refused credentials; a wrong region looks just the same."""
    if status == 403:
        return str(_("CleverTap does not let this passcode in (403). %(words)s") % {"words": words}).strip()
    text = _("CleverTap refused the Account ID, the Passcode or the Server Prefix (401). %(words)s")
    return str(text % {"words": words}).strip()


def read_connect(answer: Answer, account: Account) -> Verification:
    """Read the credential check. The network being down is not a wrong key."""
    if isinstance(answer, Fault):
        return Verification(
            False, str(_("CleverTap could not be reached.")), str(guide.FIX_NETWORK), answer.message, reachable=False
        )
    body = answer.json()
    busy = answer.status == 429 or answer.status >= 500  # whatever its body says
    failed = isinstance(body, dict) and body.get("status") == "fail" and not busy
    if 200 <= answer.status < 300 and answer.text.lstrip().startswith("<"):  # somebody's page in between, not CleverTap
        reason = str(_("CleverTap's answer to the check could not be read."))
        return Verification(False, reason, str(guide.FIX_LATER), reachable=False)
    if 200 <= answer.status < 300 and not failed:
        region = str(account.settings.get("server_prefix") or "eu1").upper()
        account_id = account.settings.get("account_id", "")
        return Verification(
            True,
            detail=str(_("Connected to account %(id)s (region %(region)s).") % {"id": account_id, "region": region}),
        )
    if answer.status in (401, 403) or failed:
        status = answer.status if answer.status in (401, 403) else 401
        return Verification(False, _credentials_reason(status, _error(body)), str(guide.FIX_CREDENTIALS))
    if answer.status == 503 and not account.settings.get("account_id"):
        return Verification(False, str(_("The Account ID is empty.")), str(guide.FIX_CREDENTIALS))
    reason = _("CleverTap answered %(status)d to the check.") % {"status": answer.status}
    return Verification(
        False, str(reason), str(guide.FIX_LATER if busy else guide.FIX_CREDENTIALS), _error(body), reachable=not busy
    )
