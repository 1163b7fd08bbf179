"""Contacts: what each provider knows of a customer, so that a profile is pushed only when there is news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from events.claims import Claimed
from events.models import Contact, ContactStatus
from integrations.models import Integration
from integrations.providers.base import Call as ProviderCall
from integrations.providers.base import Profile, Reading

ALL_ATTRIBUTES = "*"  # the provider refused the profile as a whole


def profiles_for(integration: Integration, claimed: Sequence[Claimed]) -> dict[str, Profile]:
    """Return the profiles that may be news to the provider, by customer.

    The freshest snapshot wins: one from a delivery that was recorded before the last push never replaces it.
    """
    freshest: dict[str, Claimed] = {}
    for row in claimed:
        known = freshest.get(row.customer_ref)
        if known is None or row.created_at >= known.created_at:
            freshest[row.customer_ref] = row
    contacts = _contacts(integration, freshest)
    identity_of = integration.contract.identity
    profiles = {}
    for ref, row in freshest.items():
        contact = contacts.get(ref)
        if contact is None:
            profiles[ref] = Profile(ref, row.recipient, as_of=row.created_at)
        elif _has_news(contact, row, identity_of(row.recipient, integration.common_property)):
            newer = contact.as_of is None or row.created_at > contact.as_of
            profiles[ref] = _profile(
                contact, row.recipient if newer else contact.recipient, row.created_at if newer else contact.as_of
            )
    return profiles


def _profile(contact: Contact, recipient: Mapping[str, Any], as_of: datetime | None) -> Profile:
    """Return a contact as the provider's module takes it. What was refused counts for the snapshot it was refused of."""
    refused = tuple(contact.refused) if recipient == contact.recipient else ()
    return Profile(contact.customer_ref, recipient, contact.pushed_hash, refused, as_of)


def _contacts(integration: Integration, refs: Mapping[str, Any]) -> dict[str, Contact]:
    """Return what is stored about these customers."""
    rows = Contact.objects.filter(integration=integration, customer_ref__in=list(refs))
    return {contact.customer_ref: contact for contact in rows.only(*NEEDED)}


NEEDED = ("customer_ref", "recipient", "as_of", "pushed_hash", "refused", "remote_id", "dirty_at", "status")


def _has_news(contact: Contact, row: Claimed, identity: str | None) -> bool:
    """Tell whether the snapshot could differ from what was last pushed."""
    same = contact.recipient == row.recipient and contact.remote_id == identity
    return not (same and contact.dirty_at is None and contact.status == ContactStatus.SYNCED)


def note(integration: Integration, profiles: Mapping[str, Profile], call: ProviderCall, reading: Reading) -> None:
    """Store which profiles of a call the provider took, and which attributes it refused."""
    hashes = {record.customer_ref: record.profile_hash for record in call.records if record.profile_hash}
    taken = [ref for ref in reading.contacts if ref in profiles]
    rows = [_taken(integration, profiles[ref], hashes.get(ref, "")) for ref in taken]
    _upsert(rows, ["remote_id", "refused", "recipient", "as_of", "pushed_hash", "dirty_at", "synced_at", "status", "reason"])
    refused = [(profiles[ref], name) for ref, name in reading.refused.items() if ref in profiles]
    _upsert(
        [_refused(integration, profile, name) for profile, name in refused],
        ["refused", "recipient", "as_of", "dirty_at", "status", "reason"],
    )


def _taken(integration: Integration, profile: Profile, pushed_hash: str) -> Contact:
    """Return the contact after a successful push."""
    return Contact(
        integration=integration,
        customer_ref=profile.customer_ref,
        remote_id=integration.contract.identity(profile.recipient, integration.common_property) or "",
        recipient=dict(profile.recipient),
        as_of=profile.as_of,
        pushed_hash=pushed_hash,
        refused=list(profile.refused),
        synced_at=timezone.now(),
        status=ContactStatus.SYNCED,
    )


def _refused(integration: Integration, profile: Profile, attribute: str) -> Contact:
    """Return the contact after a refusal: without the refused attribute the rest is pushed once more."""
    final = attribute == ALL_ATTRIBUTES or attribute in profile.refused
    return Contact(
        integration=integration,
        customer_ref=profile.customer_ref,
        recipient=dict(profile.recipient),
        as_of=profile.as_of,
        refused=sorted({*profile.refused, attribute}),
        dirty_at=None if final else timezone.now(),
        status=ContactStatus.REFUSED,
        reason=attribute,
    )


def _upsert(rows: list[Contact], fields: list[str]) -> None:
    """Insert or update contacts, in one order for all writers, so that two of them never wait for each other."""
    if not rows:
        return
    with transaction.atomic():
        Contact.objects.bulk_create(
            sorted(rows, key=lambda contact: contact.customer_ref),
            update_conflicts=True,
            unique_fields=["integration", "customer_ref"],
            update_fields=fields,
        )


def dirty(integration: Integration, refs: Iterable[str]) -> dict[str, Profile]:
    """Return the profiles of these customers that must be pushed again without waiting for an event."""
    rows = Contact.objects.filter(integration=integration, customer_ref__in=list(refs), dirty_at__isnull=False)
    return {row.customer_ref: _profile(row, row.recipient, row.as_of) for row in rows}
