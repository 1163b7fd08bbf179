"""What a provider of the sandbox declares, and the plain values that travel between it, the store and the server."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

Refuse = Callable[[], str]  # asked once per record: the code to refuse it with on demand, or ""

BAD_PREFIX = "BAD"  # an account id or a secret that starts so is always wrong


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read whole. `path` is below the provider's prefix; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one processed call: how many of which kind were accepted, and which were refused.

    `deliveries` has one entry per record: the `nector_delivery_id` of an accepted event, or "". `refused` maps the
    0-based index of a record to the provider's code.
    """

    account: str
    body: bytes
    deliveries: Sequence[str]
    events: int
    profiles: int
    refused: Mapping[int, str] = field(default_factory=dict)
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, and how it leaves: `is_cut` sends nothing and closes, `drip_seconds` is the pause after each byte,
    `filler_bytes` are sent after the body, without a length, until the connection closes."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    batch: Batch | None = None
    is_cut: bool = False
    drip_seconds: float = 0.0
    filler_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What this sandbox lets in: `accounts` (id to secret; None: anyone who is not `BAD...`), `discarded` event names.

    `rates` has how many calls a second a provider takes of one account (by slug; none: any), `segments` the lists to which
    nobody can be added.
    """

    accounts: Mapping[str, str] | None = None
    discarded: frozenset[str] = frozenset()
    rates: Mapping[str, float] = field(default_factory=dict)
    segments: frozenset[str] = frozenset()

    def knows(self, account: str) -> bool:
        """Return whether the account exists."""
        if not account or account.startswith(BAD_PREFIX):
            return False
        return self.accounts is None or account in self.accounts

    def admits(self, account: str, secret: str) -> bool:
        """Return whether the secret is the account's."""
        if not secret or secret.startswith(BAD_PREFIX):
            return False
        return self.accounts is None or self.accounts.get(account) == secret


@dataclass(frozen=True, slots=True)
class Label:
    """What a person wants to see of a record first. `kind` is `event` or `profile`."""

    kind: str
    name: str
    identity: str
    delivery: str


class Provider(ABC):
    """One provider's contract. `in_flight_max` is how many calls of one lane may be under way at once (0: any).

    What an instance remembers belongs to one sandbox: each makes its own, without arguments.
    """

    slug: ClassVar[str]
    label: ClassVar[str]
    in_flight_max: ClassVar[int] = 0

    def reset(self) -> None:  # noqa: B027 - most remember nothing
        """Forget what was remembered of earlier calls."""

    @abstractmethod
    def turn_away(self, request: Request, policy: Policy) -> Reply | None:
        """Return the answer to a request of no known path, method or account, or None where it may go on."""

    @abstractmethod
    def lane(self, request: Request) -> str:
        """Return what `in_flight_max` is counted by, or "" for a request that is not limited."""

    def lane_max(self, request: Request) -> int:
        """Return how many calls of this request's lane may be under way at once (0: any)."""
        return self.in_flight_max

    @abstractmethod
    def too_many(self) -> Reply:
        """Return the answer to a call above the limit."""

    def crowded(self, request: Request) -> Reply:
        """Return the answer to a call whose lane is full, where it differs from the one to too many calls."""
        return self.too_many()

    @abstractmethod
    def process(self, request: Request, policy: Policy, refuse: Refuse) -> Reply:
        """Judge the call record by record and answer it; the reply's `batch` is what is kept."""

    @abstractmethod
    def records(self, body: bytes) -> list[Any]:
        """Return the records in the body of a batch that was kept."""

    @abstractmethod
    def describe(self, record: Any) -> Label:
        """Return what a record is about, whatever its shape."""


def json_reply(status: int, data: Any, headers: Mapping[str, str] | None = None, batch: Batch | None = None) -> Reply:
    """Return an answer with a JSON body."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})}, batch)
