"""What the sandbox's Mailmodo remembers of each key: lists and who is on them, types of properties, calls of the last second."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nectorbridge.sandbox.mailmodo_rules import KNOWN_TYPES, types_of

WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Member:
    """A contact on a list: what was last said of it, and how it was added each time (`single`, `batch`)."""

    email: str
    data: Mapping[str, Any]
    how: tuple[str, ...]

    @property
    def started_journeys(self) -> bool:
        """Tell whether it entered journeys of the kind "contact added to list": only a single call that added it does."""
        return self.how[0] == "single"


@dataclass
class _List:
    id: str
    created_at: str
    members: dict[str, Member] = field(default_factory=dict)


@dataclass
class _Account:
    lists: dict[str, _List] = field(default_factory=dict)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    calls: deque[float] = field(default_factory=deque)


class Memory:
    """Accounts by key. Every method may be called from any thread."""

    def __init__(self) -> None:
        """Start with nobody known."""
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def _of(self, key: str) -> _Account:
        """Return what is remembered of a key. The lock is held."""
        return self._accounts.setdefault(key, _Account())

    def is_within(self, key: str, per_second: float | None) -> bool:
        """Count a call; tell whether the last second, this call included, stays within the rate. One turned away counts not."""
        if not per_second:
            return True
        with self._lock:
            calls, now = self._of(key).calls, time.monotonic()
            while calls and calls[0] <= now - WINDOW_SECONDS:
                calls.popleft()
            if len(calls) >= per_second:
                return False
            calls.append(now)
            return True

    def mismatch(self, key: str, kind: str, values: Mapping[str, Any]) -> str:
        """Fix the type of each property by its first value; return the first one that has another type now, in words."""
        found = types_of(values)
        with self._lock:
            types = self._of(key).types
            for name, now in found.items():
                known = KNOWN_TYPES.get(name) if kind == "contact" else None
                if (first := known or types.get((kind, name), now)) != now:
                    return f"{name} must be a {first}"
            types.update({(kind, name): now for name, now in found.items()})
        return ""

    def new_id(self) -> str:
        """Return an id of Mailmodo's kind."""
        return str(uuid.uuid4())

    def make_list(self, key: str, list_name: str) -> str:
        """Make a list where it is missing; return its id."""
        with self._lock:
            return self._list(key, list_name).id

    def _list(self, key: str, list_name: str) -> _List:
        """Return a list, made where it was missing. The lock is held."""
        lists = self._of(key).lists
        if list_name not in lists:
            lists[list_name] = _List(self.new_id(), datetime.now(UTC).isoformat().replace("+00:00", "Z"))
        return lists[list_name]

    def add(self, key: str, list_name: str, email: str, data: Mapping[str, Any], how: str) -> None:
        """Put a contact on a list, or bring what is known of it up to date."""
        with self._lock:
            members = self._list(key, list_name).members
            before = members.get(email, Member(email, {}, ()))
            members[email] = Member(email, {**before.data, **data}, (*before.how, how))

    def lists(self, key: str) -> list[dict[str, Any]]:
        """Return the lists of a key, as Mailmodo tells them."""
        with self._lock:
            return [
                {"id": found.id, "name": name, "created_at": found.created_at, "contacts_count": len(found.members)}
                for name, found in self._of(key).lists.items()
            ]

    def members(self, list_name: str, key: str = "") -> dict[str, Member]:
        """Return who is on a list, by address, of one key or of all."""
        with self._lock:
            accounts = [self._of(key)] if key else list(self._accounts.values())
            return {
                email: member
                for account in accounts
                if list_name in account.lists
                for email, member in account.lists[list_name].members.items()
            }
