"""Writing down many accepted calls at once: a handful of statements, however many calls there are.

Where a call carries one event, one transaction per call would cost more than the call itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from events import tallies
from events.models import Call
from events.results import LONGEST_CODE, LONGEST_MESSAGE, MARK_SENT
from events.sql import moment
from events.states import State
from integrations.providers.base import Outcome, Verdict

# Calls given as JSON, each with its own answer.
END_CALLS = """
    UPDATE events_call SET ended_at = %s, outcome = 'accepted', duration_ms = ends.duration, http_status = ends.status,
      response = ends.response
    FROM ends WHERE events_call.id = ends.id AND events_call.ended_at IS NULL RETURNING events_call.id
"""
ATTEMPTS_OF_CALLS = """
    INSERT INTO events_deliveryattempt
      (delivery_id, call_id, number, started_at, duration_ms, outcome, http_status, error_code, error_message)
    SELECT d.id, d.call_id, d.attempt_count, c.started_at, c.duration_ms, 'accepted', c.http_status, ends.code, ends.message
    FROM ends JOIN events_call c ON c.id = ends.id JOIN events_eventdelivery d ON d.call_id = c.id
    WHERE d.integration_id = %s AND d.status = 'sending'
"""
ENDS_SQLITE = """
    WITH ends AS (
      SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.duration') AS duration,
        json_extract(value, '$.status') AS status, json_extract(value, '$.response') AS response,
        json_extract(value, '$.code') AS code, json_extract(value, '$.message') AS message
      FROM json_each(%s))
"""
ENDS_POSTGRESQL = """
    WITH ends AS (
      SELECT * FROM jsonb_to_recordset(%s::jsonb)
        AS ends (id bigint, duration integer, status integer, response text, code text, message text))
"""
END_CALLS_SQLITE, END_CALLS_POSTGRESQL = ENDS_SQLITE + END_CALLS, ENDS_POSTGRESQL + END_CALLS
ATTEMPTS_SQLITE, ATTEMPTS_POSTGRESQL = ENDS_SQLITE + ATTEMPTS_OF_CALLS, ENDS_POSTGRESQL + ATTEMPTS_OF_CALLS
SENT = MARK_SENT.replace("call_id = %s", "call_id IN ({calls})")
SENT_SQLITE = SENT.format(calls="SELECT json_extract(value, '$.id') FROM json_each(%s)")
SENT_POSTGRESQL = SENT.format(calls="SELECT (value->>'id')::bigint FROM jsonb_array_elements(%s::jsonb)")


def settle_accepted(calls: Sequence[tuple[Call, Verdict]], now: datetime) -> set[int]:
    """End calls of one integration whose every delivery was accepted. Returns the keys of those not ended before.

    A handful of statements, however many calls there are.
    """
    if not calls:
        return set()
    ends = [_end(call, verdict) for call, verdict in calls]
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        is_postgresql = connection.vendor == "postgresql"
        cursor.execute(END_CALLS_POSTGRESQL if is_postgresql else END_CALLS_SQLITE, [json.dumps(ends), moment(now)])
        ended = {key for (key,) in cursor.fetchall()}
        kept = json.dumps([end for end in ends if end["id"] in ended])
        integration_id = calls[0][0].integration_id
        cursor.execute(ATTEMPTS_POSTGRESQL if is_postgresql else ATTEMPTS_SQLITE, [kept, integration_id])
        cursor.execute(SENT_POSTGRESQL if is_postgresql else SENT_SQLITE, [moment(now), integration_id, kept])
        sent = cursor.rowcount  # each has its attempt; that statement's own number SQLite does not tell
        counts = tallies.outcome_counts(Outcome.ACCEPTED, sent, [(State.SENT, "", sent)])
        counts += tallies.call_counts(end["duration"] for end in ends if end["id"] in ended)
        tallies.add(counts, integration_id)
    return ended


def _end(call: Call, verdict: Verdict) -> dict[str, Any]:
    """Return what is written down about an accepted call."""
    return {
        "id": call.pk,
        "duration": call.duration_ms,
        "status": call.http_status,
        "response": call.response,
        "code": verdict.code[:LONGEST_CODE],
        "message": verdict.message[:LONGEST_MESSAGE],
    }
