"""The sandbox itself: takes a request to a provider's prefix through faults, limits and contract, and keeps what arrived."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from nectorbridge.sandbox import control
from nectorbridge.sandbox.contract import Policy, Provider, Reply, Request
from nectorbridge.sandbox.faults import Fault, FaultBook, Plan, fault_from
from nectorbridge.sandbox.mailmodo import Mailmodo
from nectorbridge.sandbox.mailmodo_memory import Member
from nectorbridge.sandbox.providers import PROVIDERS, fresh
from nectorbridge.sandbox.server import Server
from nectorbridge.sandbox.store import KEPT_RECORDS, Arrived, Store

HOST = "127.0.0.1"
PORT = 8077
GARBAGE = b"<html><body>It works!</body></html>"


class Sandbox:
    """Providers on loopback. Thread-safe; everything is in memory and gone when it stops."""

    def __init__(
        self,
        host: str = HOST,
        port: int = PORT,
        *,
        accounts: Mapping[str, str] | None = None,
        discarded: Iterable[str] = (),
        rates: Mapping[str, float] | None = None,
        segments: Iterable[str] = (),
        latency: float = 0.0,
        keep: int = KEPT_RECORDS,
    ) -> None:
        """Listen, without answering yet; port 0 lets the system choose. Raises OSError where the address can't be had.

        `accounts` (id to secret) lets in nobody else; `discarded` are event names that the dashboard has discarded;
        `rates` (provider to calls a second) turn away what is more; `segments` are lists to which nobody can be added;
        `latency` is the seconds every provider answer takes at least; `keep` is how many records are kept per provider.
        """
        self.policy = Policy(accounts, frozenset(discarded), rates or {}, frozenset(segments))
        self.latency = latency
        self.faults = FaultBook()
        self.providers = fresh()
        self.stores = {slug: Store(provider, keep) for slug, provider in self.providers.items()}
        self._lanes: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._server = Server(host, port, self._answer)

    @classmethod
    @contextmanager
    def running(cls, port: int = 0, **options: Any) -> Iterator[Sandbox]:
        """Run one in this process, on a port of the system's choice, for the length of a `with` block."""
        sandbox = cls(port=port, **options)
        sandbox.start()
        try:
            yield sandbox
        finally:
            sandbox.stop()

    def start(self) -> None:
        """Answer requests, in threads of their own."""
        self._server.start()

    def stop(self) -> None:
        """Close every connection and the port; calls under way get no answer."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Return the address of the page, without a slash at the end."""
        return self._server.url

    def url_of(self, provider: str) -> str:
        """Return what stands for the provider's scheme and host."""
        return f"{self.url}/{provider}"

    def arrived(self, provider: str, delivery: str = "") -> list[Arrived]:
        """Return the accepted records, oldest first; of one `nector_delivery_id` only, if given."""
        return [record for record in self.stores[provider].arrived(delivery) if record.is_accepted]

    def refused(self, provider: str) -> list[Arrived]:
        """Return the refused records, oldest first."""
        return [record for record in self.stores[provider].arrived() if not record.is_accepted]

    def times(self, provider: str, delivery: str) -> int:
        """Return how many times a delivery was accepted."""
        return self.stores[provider].times(delivery)

    def deliveries(self, provider: str) -> dict[str, int]:
        """Return every delivery that was accepted, with the number of times."""
        return self.stores[provider].deliveries()

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the counters of every provider, and its active faults."""
        return {
            slug: store.summary() | {"faults": [fault.as_dict() for fault in self.faults.active(slug)]}
            for slug, store in self.stores.items()
        }

    def fault(self, provider: str, kind: str, **options: Any) -> Fault:
        """Make a provider misbehave (see `Fault`). Raises InvalidFault."""
        return self.faults.add(fault_from({"provider": provider, "kind": kind, **options}, PROVIDERS))

    def clear_faults(self, provider: str = "") -> int:
        """End all faults, or those of one provider; return how many."""
        return self.faults.clear(provider)

    def discard(self, *names: str) -> None:
        """Treat event names as discarded in the dashboard, until the end."""
        self.policy = replace(self.policy, discarded=self.policy.discarded.union(names))

    def limit(self, provider: str, per_second: float = 0.0) -> None:
        """Let a provider take that many calls a second of one account, until the end; 0: any."""
        self.policy = replace(self.policy, rates={**self.policy.rates, provider: per_second})

    def make_segments(self, *names: str) -> None:
        """Treat lists of these names as static segments, to which nobody can be added, until the end."""
        self.policy = replace(self.policy, segments=self.policy.segments.union(names))

    def members(self, list_name: str) -> dict[str, Member]:
        """Return who is on a list at Mailmodo, by address, and how each was added."""
        mailmodo = self.providers["mailmodo"]
        return mailmodo.memory.members(list_name) if isinstance(mailmodo, Mailmodo) else {}

    def reset(self) -> None:
        """Forget what arrived and what providers remember, set the counters to zero and end all faults."""
        self.faults.clear()
        for slug, store in self.stores.items():
            store.reset()
            self.providers[slug].reset()

    def _answer(self, request: Request) -> Reply:
        """Answer any request: a provider's prefix, or the sandbox's own pages."""
        slug, slash, rest = request.path.removeprefix("/").partition("/")
        provider = self.providers.get(slug)
        if provider is None:
            return control.answer(self, request)
        return self._call(provider, replace(request, path=slash + rest))

    def _call(self, provider: Provider, request: Request) -> Reply:
        """Answer a call to a provider, with what is to go wrong with it, and count it."""
        store = self.stores[provider.slug]
        number = store.open_call()
        plan = self.faults.take(provider.slug, request.method, request.path)
        with self._lane(provider, request) as is_admitted:
            reply = self._contract(provider, request, plan, is_admitted)
            if reply.batch is not None:
                store.keep(number, reply.batch)
            self._server.pause(self.latency + plan.delay_seconds)
        reply = _spoiled(provider, plan.fault, reply)
        store.answered("cut" if reply.is_cut else str(reply.status))
        return reply

    def _contract(self, provider: Provider, request: Request, plan: Plan, is_admitted: bool) -> Reply:
        """Answer as the contract says, unless the call is not to be processed at all."""
        fault = plan.fault
        if fault is not None and not fault.is_processed:
            return Reply(fault.status)
        refusal = provider.turn_away(request, self.policy)
        if refusal is not None:
            return refusal
        if not is_admitted:
            return provider.crowded(request)
        refuse = fault.refuse if fault is not None and fault.kind == "partial" else _refuse_none
        return provider.process(request, self.policy, refuse)

    @contextmanager
    def _lane(self, provider: Provider, request: Request) -> Iterator[bool]:
        """Take a place among the calls under way; False where the provider has too many of them already."""
        name, most = provider.lane(request), provider.lane_max(request)
        lane = (provider.slug, name)
        with self._lock:
            is_admitted = not name or not most or self._lanes[lane] < most
            if name and is_admitted:
                self._lanes[lane] += 1
                self.stores[provider.slug].in_flight(self._lanes[lane])
        try:
            yield is_admitted
        finally:
            if name and is_admitted:
                with self._lock:
                    self._lanes[lane] -= 1
                    if not self._lanes[lane]:
                        del self._lanes[lane]


def _refuse_none() -> str:
    """Refuse no record on demand."""
    return ""


def _spoiled(provider: Provider, fault: Fault | None, reply: Reply) -> Reply:
    """Return the answer as the fault makes it."""
    if fault is None or fault.kind == "partial":
        return reply
    if fault.kind == "rate_limit":
        limited = provider.too_many()
        return replace(limited, headers={**limited.headers, **fault.headers})
    if fault.kind == "status":
        return Reply(fault.status, fault.body.encode(), {"Content-Type": _type_of(fault.body), **fault.headers})
    if fault.kind == "garbage":
        body = fault.body.encode() or GARBAGE
        return Reply(200, body, {"Content-Type": "text/html", **fault.headers})
    if fault.kind == "drip":
        return replace(reply, drip_seconds=fault.seconds)
    if fault.kind == "huge":
        return replace(reply, filler_bytes=fault.size_bytes)
    return replace(reply, is_cut=True)


def _type_of(body: str) -> str:
    """Return the content type of a body that somebody typed."""
    return "application/json" if body.lstrip()[:1] in ("{", "[") else "text/plain; charset=utf-8"
