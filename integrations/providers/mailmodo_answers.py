"""How Mailmodo answers: one event, one contact, a batch of contacts.

Facts from Mailmodo's OpenAPI documents at developers.mailmodo.com. A 200 proves nothing: `{success, message}` decides, except
that a batch is answered without `success`. What a wrong key, too many calls or two batches at once are answered with is not
published: words count there, and the key is confirmed by the check before anything stops.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import mailmodo_guide as guide
from integrations.providers.base import Call, Outcome, Reading, Record, Response, Verdict
from integrations.providers.mailmodo_check import (
    BUSY_STATUSES,
    TOO_MANY,
    is_failure,
    key_reason,
    names_the_key,
    read_check,
    success,
    words,
)
from integrations.providers.mailmodo_contacts import ALL_ATTRIBUTES, MARK_CHARACTERS, mark

__all__ = ["BATCH", "read_call", "read_check"]

BATCH = "/api/v1/addToList/batch"
HOLD_SECONDS = 2.0  # rates are counted by the second; the recorder lengthens repeated holds
MAY_PASS = re.compile(r"\blimit|too many|try again|\blater\b|temporar|timed? ?out|internal (server )?error", re.IGNORECASE)
ANOTHER_BATCH = re.compile(r"progress|parallel|simultaneous|already running|one at a time|concurrent", re.IGNORECASE)
STATIC_SEGMENT = re.compile(r"static segment", re.IGNORECASE)
CONTACTS_OWN_FAULT = frozenset([400, 413, 422])  # other refusals are about the call: no contact is to blame
TRIES_WHERE_UNCLEAR = 2


def read_call(call: Call, answer: Response) -> Reading:
    """Read what Mailmodo said to an event, a contact, or a batch of contacts."""
    if call.delivery_ids:
        return _patiently(_verdict(answer, is_event=True), answer)
    is_batch, body = call.request.url.endswith(BATCH), answer.json()
    if is_batch and 200 <= answer.status < 300 and isinstance(body, dict) and (body.get("errors") or not is_failure(body)):
        return _batch(call, body, is_partial=answer.status == 207)
    return _contacts(call, answer, is_batch)


def _patiently(verdict: Verdict, answer: Response) -> Reading:
    """Return a verdict on the whole call, with a hold where Mailmodo says that it gets too many."""
    many = verdict.outcome is Outcome.TRANSIENT and (answer.status == 429 or TOO_MANY.search(verdict.message))
    return Reading(verdict, hold_seconds=HOLD_SECONDS if many else None)


def _verdict(answer: Response, is_event: bool) -> Verdict:
    """Return what the status means, and below 300 the body. A 5xx wins over what its body says."""
    status, said = answer.status, words(answer.json())
    if 200 <= status < 300:
        return _success_verdict(answer, said, is_event)
    if status in (401, 403):
        return Verdict(Outcome.CONFIGURATION, str(status), key_reason(said))
    if status >= 500 or status in BUSY_STATUSES:
        busy = str(_("Mailmodo gets more requests a second than the plan allows.")) if status == 429 else f"HTTP {status}"
        return Verdict(Outcome.TRANSIENT, str(status), said or busy)
    if status >= 400:
        return _refused(status, answer.json(), said)
    return Verdict(Outcome.TRANSIENT, str(status), said or f"HTTP {status}", max_tries=TRIES_WHERE_UNCLEAR)


def _refused(status: int, body: Any, said: str) -> Verdict:
    """Return what a 4xx means: for good, unless its words blame the key or the pace."""
    if TOO_MANY.search(said):
        return Verdict(Outcome.TRANSIENT, str(status), said)
    if names_the_key(body):
        return Verdict(Outcome.CONFIGURATION, str(status), key_reason(said))
    if status == 404:
        reason = str(_("Mailmodo does not know the address that was called. %(words)s") % {"words": said}).strip()
        return Verdict(Outcome.PERMANENT, "404", reason)
    return Verdict(Outcome.PERMANENT, str(status), said or str(_("Mailmodo refused it and gave no reason.")))


def _success_verdict(answer: Response, said: str, is_event: bool) -> Verdict:
    """Return what a 2xx means: `success` decides, or an event's `ref`. What cannot be read may have arrived."""
    body = answer.json()
    if not isinstance(body, dict):
        return Verdict(Outcome.UNCERTAIN, "unreadable", str(_("Mailmodo's answer could not be read.")))
    if is_failure(body):
        return _failure_verdict(body, said)
    ref = body.get("ref") if is_event else None
    if success(body) or ref:
        return Verdict(Outcome.ACCEPTED, message=f"ref {ref}"[:200] if ref else "")
    return Verdict(Outcome.UNCERTAIN, "unreadable", said or str(_("Mailmodo's answer says neither yes nor no.")))


def _failure_verdict(body: Mapping[str, Any], said: str) -> Verdict:
    """Return what a failure below a good status means."""
    if names_the_key(body) and not TOO_MANY.search(said):
        return Verdict(Outcome.CONFIGURATION, "success_false", key_reason(said))
    if MAY_PASS.search(said) or TOO_MANY.search(said):
        return Verdict(Outcome.TRANSIENT, "success_false", said)
    return Verdict(Outcome.PERMANENT, "success_false", said or str(_("Mailmodo refused it and gave no reason.")))


def _contacts(call: Call, answer: Response, is_batch: bool) -> Reading:
    """Read an answer to contacts that speaks of the call as a whole."""
    verdict, said = _verdict(answer, is_event=False), words(answer.json())
    if verdict.outcome is Outcome.ACCEPTED:
        return Reading(verdict, contacts=frozenset(record.customer_ref for record in call.records))
    is_final = verdict.outcome is Outcome.PERMANENT
    if is_batch and (is_final or answer.status < 300) and (answer.status in (409, 423) or ANOTHER_BATCH.search(said)):
        return Reading(Verdict(Outcome.TRANSIENT, verdict.code, said or verdict.message), hold_seconds=HOLD_SECONDS)
    if not is_final:
        return _patiently(verdict, answer)
    if STATIC_SEGMENT.search(said):
        reason = str(guide.STATIC_SEGMENT % {"name": _list_name(call)})
        return Reading(Verdict(Outcome.CONFIGURATION, "static_segment", reason))
    if answer.status >= 300 and answer.status not in CONTACTS_OWN_FAULT:
        return Reading(replace(verdict, outcome=Outcome.TRANSIENT, max_tries=TRIES_WHERE_UNCLEAR))
    refused = {record.customer_ref: verdict.message for record in call.records}
    return Reading(verdict, **_refusals(refused), split=_addresses(call) > 1)


def _batch(call: Call, body: Mapping[str, Any], is_partial: bool) -> Reading:
    """Read a batch that was taken: all of it, or all but the addresses that are listed. A warning still means added.

    A reason that may pass leaves its contact neither taken nor refused. Where it stays open who was refused, nobody counts as
    taken: adding somebody twice changes nothing.
    """
    said = _errors(body.get("errors"))
    reasons = {record.customer_ref: said[of] for record in call.records if (of := _mark(record)) in said}
    refused = _refusals({ref: reason for ref, reason in reasons.items() if not MAY_PASS.search(reason)})
    names_all = said.keys() <= {_mark(record) for record in call.records}
    says_whom = (
        bool(said or body.get("warnings")) if is_partial else bool(body.keys() & {"success", "message", "listId", "errors"})
    )
    if not (names_all and says_whom):
        verdict = Verdict(Outcome.UNCERTAIN, "unreadable", str(_("Mailmodo's answer does not say which contacts it took.")))
        return Reading(verdict, **refused)
    taken = frozenset(record.customer_ref for record in call.records) - reasons.keys()
    return Reading(Verdict(Outcome.ACCEPTED, message=words(body) if said else ""), contacts=taken, **refused)


def _mark(record: Record) -> str:
    """Return what stands for a record's address (see `mailmodo_contacts.mark`)."""
    return record.profile_hash[:MARK_CHARACTERS]


def _errors(errors: Any) -> dict[str, str]:
    """Return the listed refusals: the mark of the address to the reason. What has no shape is a refusal of nobody known."""
    if not errors:
        return {}
    return dict(map(_error, errors)) if isinstance(errors, list) else {"": ""}


def _error(item: Any) -> tuple[str, str]:
    """Return the mark of one listed address, and why it was refused. The documented key of the reason has a space."""
    if not isinstance(item, dict):
        return "", ""
    reason = item.get("failure reason") or item.get("failure_reason") or item.get("message") or ""
    return mark(str(item.get("email") or "").strip().lower()), str(reason)[:300]


def _refusals(reasons: Mapping[str, str]) -> dict[str, Any]:
    """Return a reading's part about contacts refused as a whole."""
    fallback = str(_("Mailmodo refused the contact and gave no reason."))
    words_of = {ref: reason or fallback for ref, reason in reasons.items()}
    return {"refused": dict.fromkeys(reasons, ALL_ATTRIBUTES), "refused_reasons": words_of}


def _addresses(call: Call) -> int:
    """Return how many addresses are in a call."""
    return len({_mark(record) for record in call.records})


def _list_name(call: Call) -> str:
    """Return the name of the list that a call is about, from its own body."""
    try:
        return str(json.loads(call.request.body).get("listName") or "")
    except (ValueError, AttributeError):
        return ""
