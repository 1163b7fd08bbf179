"""Our drain next to the least that one could write by hand: claim, POST, mark sent. No calls, attempts, leases or retries."""

from __future__ import annotations

import json
import time
from typing import Any

import requests
from django.conf import settings
from django.db import connection

from events.sql import id_list
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.drain import LATENCY_SECONDS, Ours
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.bench.running import SandboxClient, sandbox

NAME = "drain-raw"
BAR = Bar(0.8, at_most=False)
RECORDS_PER_CALL = 1000
CLAIM = """
    UPDATE events_eventdelivery SET status = 'sending' WHERE id IN (
      SELECT id FROM events_eventdelivery WHERE integration_id = %s AND status = 'queued' ORDER BY next_attempt_at, id LIMIT %s)
    RETURNING id, event_name, recipient, payload
"""
MARK_SENT = "UPDATE events_eventdelivery SET status = 'sent', sent_at = CURRENT_TIMESTAMP, next_attempt_at = NULL WHERE id "


class RawDrain:
    """The baseline."""

    def __init__(self, ours: Ours, client: SandboxClient) -> None:
        """Drain the same queue with the same number of deliveries."""
        self.ours = ours
        self.url = client.upload
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(
            {
                "Content-Type": "application/json",
                "X-CleverTap-Account-Id": "BENCH-000-000-000",
                "X-CleverTap-Passcode": "bench",
            }
        )

    def rate(self) -> float:
        """Return the events per second of one drain."""
        self.ours.place.queue(self.ours.count)
        began = time.perf_counter()
        while self._batch():
            pass
        return self.ours.count / (time.perf_counter() - began)

    def _batch(self) -> int:
        """Send one request; return how many events it carried."""
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, [self.ours.place.integration.pk, RECORDS_PER_CALL])
            rows = cursor.fetchall()
            if not rows:
                return 0
            body = json.dumps({"d": [_record(*row[1:]) for row in rows]})
            self.session.post(self.url, data=body, timeout=settings.DELIVERY_HTTP_TIMEOUT_SECONDS).raise_for_status()
            condition, parameter = id_list(str(row[0]) for row in rows)
            cursor.execute(MARK_SENT + condition, [parameter])
        return len(rows)


def _record(name: str, recipient: Any, payload: Any) -> dict[str, Any]:
    """Return one event as CleverTap takes it. Columns come as text from SQLite and parsed or as text from PostgreSQL."""
    person = json.loads(recipient) if isinstance(recipient, str) else recipient
    data = json.loads(payload) if isinstance(payload, str) else payload
    return {"type": "event", "identity": person["customer_id"], "evtName": name, "evtData": data}


def run(options: Options) -> dict[str, Any]:
    """Measure; events per second."""
    with sandbox(LATENCY_SECONDS) as client:
        ours = Ours(options)
        raw = RawDrain(ours, client)
        raw.rate()
        ours.rate()
        what = f"draining {ours.count:,} deliveries, 20 ms per call / raw SQL and one request after the other, no history"
        comparison = Comparison(NAME, what, "events/s", BAR)
        return compare(comparison, raw.rate, ours.rate, options.pairs, options.note).as_dict()
