"""Contacts on their way to Mailmodo's list: one value per address, however many customers share it, in calls within the limits.

Facts from Mailmodo's OpenAPI document "Contact Management": at most a hundred contacts a call, their addresses all different.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.providers.base import Limits, Profile, Record
from integrations.providers.mailmodo_values import address, contact_data
from integrations.providers.values import digest, dumps

ALL_ATTRIBUTES = "*"  # in `Profile.refused`: Mailmodo took nothing of this contact
MARK_CHARACTERS = 12
ENVELOPE_BYTES = 1024  # what surrounds the values in a body, the longest list name included


@dataclass
class Contact:
    """One address, what Mailmodo should know of it, and the records of the customers who have it."""

    email: str
    data: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    is_known: bool = False

    @property
    def value(self) -> dict[str, Any]:
        """Return what a call says about this contact. Without data there is no `data`."""
        return {"email": self.email} | ({"data": self.data} if self.data else {})


def mark(email: str) -> str:
    """Return what the hash of a profile with this address begins with: an answer names addresses, a record does not."""
    return hashlib.blake2b(email.encode(errors="replace"), digest_size=MARK_CHARACTERS // 2).hexdigest()


def contacts(profiles: Iterable[Profile], list_name: str) -> list[Contact]:
    """Return the contacts with news, one per address; of customers who share one the later profile wins, value by value.

    That is what calls one after the other would have left. A customer without an address, or whom Mailmodo refused, is left out.
    """
    found: dict[str, Contact] = {}
    for profile in profiles:
        email = address(profile.recipient)
        if email is None or ALL_ATTRIBUTES in profile.refused:
            continue
        data = contact_data(profile.recipient, profile.attributes)
        profile_hash = _hash(email, list_name, data)
        if profile_hash == profile.pushed_hash:
            continue
        contact = found.setdefault(email, Contact(email, {}))
        contact.data |= data
        contact.records.append(Record(customer_ref=profile.customer_ref, profile_hash=profile_hash))
        contact.is_known |= profile.is_known
    return list(found.values())


def _hash(email: str, list_name: str, data: Mapping[str, Any]) -> str:
    """Return the hash of what is news. That an attribute was looked at again, and is the same, is none."""
    lasting = {key: value for key, value in data.items() if not key.endswith("_as_of")}
    return mark(email) + digest({"email": email, "listName": list_name, "data": lasting})


def batches(found: Iterable[Contact], limits: Limits) -> Iterator[list[Contact]]:
    """Yield contacts call by call, within the limits."""
    batch: list[Contact] = []
    size = 0
    for contact in found:
        more = len(dumps(contact.value).encode(errors="replace")) + 1
        if batch and (len(batch) >= limits.contacts_per_call or size + more > limits.bytes_per_call):
            yield batch
            batch, size = [], 0
        if not batch:
            size = ENVELOPE_BYTES
        batch.append(contact)
        size += more
    if batch:
        yield batch
