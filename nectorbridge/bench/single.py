"""The providers' own bars, at 20 ms per call: what the outbox costs next to the bare HTTP client, or what a rate allows."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.utils import timezone

from events.models import Contact, EventDelivery
from events.stream import Stream
from events.waves import CALLS_PER_WAVE
from integrations import http
from integrations.providers.base import Event, Request
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.drain import LATENCY_SECONDS, Ours
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.bench.running import sandbox
from nectorbridge.bench.world import MAILMODO_RATE

CLIENT_SHARE = Bar(0.85, at_most=False)
RATE_SHARE = Bar(0.95, at_most=False)
BULK_GAIN = Bar(20.0, at_most=False)
CALLS, PACED_CALLS, BULK_EVENTS, ALONE_EVENTS = 1200, 500, 5000, 300


class BareClient:
    """The baseline: the same requests through the same client and as many threads; nothing is stored."""

    def __init__(self, ours: Ours, threads: int, count: int) -> None:
        """Pack the requests beforehand, each event alone."""
        self.threads = threads
        integration = ours.place.integration
        account, contract = integration.account(), integration.contract
        ids = dict(Contact.objects.values_list("customer_ref", "remote_id"))
        found = EventDelivery.objects.filter(integration=integration).order_by("-id")[:count]
        events = [
            Event(
                str(row.pk), row.event_name, row.customer_ref, row.recipient, row.payload, row.occurred_at, ids[row.customer_ref]
            )
            for row in found
        ]
        now = timezone.now()
        self.requests = [call.request for event in events for call in contract.pack_events(account, [event], {}, now).calls]

    def rate(self) -> float:
        """Return the calls per second."""
        began = time.perf_counter()
        with ThreadPoolExecutor(self.threads) as pool:
            answers = list(pool.map(_send, self.requests))
        spent = time.perf_counter() - began
        wrong = [answer for answer in answers if getattr(answer, "status", 0) != 200]
        if wrong:
            raise RuntimeError(f"The sandbox did not take {len(wrong)} calls: {wrong[0]}")
        return len(self.requests) / spent


def _send(request: Request) -> Any:
    return http.send(request, settings.DELIVERY_HTTP_TIMEOUT_SECONDS)


def _against_client(options: Options, slug: str) -> dict[str, Any]:
    """Compare a drain with the bare client and the same threads."""
    with sandbox(LATENCY_SECONDS, slug):
        ours = Ours(options, slug, CALLS)
        ours.rate()
        integration = ours.place.integration
        threads = Stream(integration, integration.account()).threads
        bare = BareClient(ours, threads, ours.count)
        bare.rate()
        label = integration.label
        what = f"{ours.count:,} {label} events, one a call, 20 ms each / the same client and {threads} threads, no database"
        comparison = Comparison(slug, what, "events/s", CLIENT_SHARE)
        return compare(comparison, bare.rate, ours.rate, options.pairs, options.note).as_dict()


def contlo(options: Options) -> dict[str, Any]:
    """Measure; events per second."""
    return _against_client(options, "contlo")


def wigzo(options: Options) -> dict[str, Any]:
    """Measure; events per second."""
    return _against_client(options, "wigzo")


def mailmodo(options: Options) -> dict[str, Any]:
    """Measure; events per second. The baseline is the rate that the plan allows."""
    with sandbox(LATENCY_SECONDS, "mailmodo"):
        ours = Ours(options, "mailmodo", PACED_CALLS)
        what = f"{ours.count:,} Mailmodo events, one a call, 20 ms each / the plan's rate of {MAILMODO_RATE} calls a second"
        comparison = Comparison("mailmodo", what, "events/s", RATE_SHARE)
        return compare(comparison, lambda: float(MAILMODO_RATE), ours.rate, options.pairs, options.note).as_dict()


def moengage(options: Options) -> dict[str, Any]:
    """Measure; events per second."""
    with sandbox(LATENCY_SECONDS, "moengage"):
        ours = Ours(options, "moengage", BULK_EVENTS)
        ours.rate()
        bare = BareClient(ours, CALLS_PER_WAVE, options.size(ALONE_EVENTS, 5))
        bare.rate()
        what = f"{ours.count:,} MoEngage events in bulk, 20 ms per call / one call per event, {CALLS_PER_WAVE} threads, no rows"
        comparison = Comparison("moengage", what, "events/s", BULK_GAIN)
        return compare(comparison, bare.rate, ours.rate, options.pairs, options.note).as_dict()
