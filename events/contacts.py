"""Contacts: what each provider knows of a customer, so that a profile is pushed only when there is news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from events.claims import Claimed
from events.flights import Flight
from events.models import Contact, ContactStatus
from integrations.models import Integration
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
    identities = {ref: _identity(integration, row.recipient) for ref, row in freshest.items()}
    as_pushed = _as_pushed(integration, {ref: row.recipient for ref, row in freshest.items()}, identities)
    news = [ref for ref in freshest if ref not in as_pushed]
    contacts = stored(integration, news) if news else {}
    has_own_ids = bool(integration.contract.new_remote_id())
    profiles = {}
    for ref in news:
        row, contact = freshest[ref], contacts.get(ref)
        if contact is None:
            profiles[ref] = Profile(ref, row.recipient, as_of=row.created_at)
            continue
        newer = contact.as_of is None or row.created_at > contact.as_of
        recipient, as_of = (row.recipient, row.created_at) if newer else (contact.recipient, contact.as_of)
        profile = profile_of(contact, recipient, as_of)
        moved = not has_own_ids and contact.remote_id != identities[ref]
        profiles[ref] = replace(profile, pushed_hash="") if moved else profile
    return profiles


def _as_pushed(integration: Integration, recipients: Mapping[str, Any], identities: Mapping[str, str]) -> set[str]:
    """Return the customers of whom the provider has taken this very snapshot under this very identity."""
    synced = Contact.objects.filter(integration=integration, customer_ref__in=list(recipients))
    synced = synced.filter(status=ContactStatus.SYNCED, dirty_at__isnull=True).order_by()
    has_own_ids = bool(integration.contract.new_remote_id())
    return {
        ref
        for ref, recipient, remote_id in synced.values_list("customer_ref", "recipient", "remote_id")
        if recipient == recipients[ref] and (has_own_ids or remote_id == identities[ref])
    }


def profile_of(contact: Contact, recipient: Mapping[str, Any], as_of: datetime | None) -> Profile:
    """Return a contact as the provider's module takes it. What was refused counts for the snapshot it was refused of."""
    refused = tuple(contact.refused) if recipient == contact.recipient else ()
    return Profile(
        contact.customer_ref, recipient, contact.pushed_hash, refused, as_of, contact.remote_id, thaw(contact.attributes)
    )


def stored(integration: Integration, refs: Iterable[str]) -> dict[str, Contact]:
    """Return what is stored about these customers."""
    rows = Contact.objects.filter(integration=integration, customer_ref__in=list(refs))
    return {contact.customer_ref: contact for contact in rows.only(*NEEDED)}


NEEDED = ("customer_ref", "recipient", "attributes", "as_of", "pushed_hash", "refused", "remote_id", "dirty_at", "status")


def _identity(integration: Integration, recipient: Mapping[str, Any]) -> str:
    """Return the value by which the provider knows this customer, or an empty text."""
    return integration.contract.identity(recipient, integration.common_property) or ""


def give_ids(integration: Integration, refs: Iterable[str]) -> dict[str, str]:
    """Return each customer's stored id at a provider that wants one of our making; those who have none get one now.

    Stored before it is used, so that a crash in between never makes a second one. Empty where the provider wants none.
    """
    make = integration.contract.new_remote_id
    wanted = sorted(set(refs))
    if not wanted or not make():
        return {}
    rows = Contact.objects.filter(integration=integration, customer_ref__in=wanted)
    ids = {ref: remote_id for ref, remote_id in rows.values_list("customer_ref", "remote_id") if remote_id}
    missing = [ref for ref in wanted if ref not in ids]
    if missing:
        fresh = [Contact(integration=integration, customer_ref=ref, remote_id=make()) for ref in missing]
        Contact.objects.bulk_create(fresh, ignore_conflicts=True)
        for contact in rows.filter(customer_ref__in=missing, remote_id="").only("pk"):  # known before ids were
            Contact.objects.filter(pk=contact.pk, remote_id="").update(remote_id=make())
        ids |= dict(rows.filter(customer_ref__in=missing).values_list("customer_ref", "remote_id"))
    return ids


def note(integration: Integration, landed: Iterable[tuple[Flight, Reading]]) -> None:
    """Store which profiles of these calls the provider took, and which attributes it refused.

    What comes back after a disconnect says nothing about the next connection, which may be to another account.
    """
    taken: list[Contact] = []
    refused: list[Contact] = []
    for flight, reading in landed:
        hashes = {record.customer_ref: record.profile_hash for record in flight.call.records if record.profile_hash}
        profiles = flight.profiles
        taken += [_taken(integration, profiles[ref], hashes.get(ref, "")) for ref in reading.contacts if ref in profiles]
        refused += [
            _refused(integration, profiles[ref], name, reading.refused_reasons.get(ref, ""))
            for ref, name in reading.refused.items()
            if ref in profiles
        ]
    if not (taken or refused) or not _is_still_connected(integration):
        return
    kept = [] if integration.contract.new_remote_id() else ["remote_id"]
    _upsert(taken, [*kept, *TAKEN_COLUMNS])
    _upsert(refused, REFUSED_COLUMNS)


def _is_still_connected(integration: Integration) -> bool:
    """Tell whether the connection is the one that the integration was loaded with."""
    return Integration.objects.filter(pk=integration.pk, initialized_at=integration.initialized_at).exists()


REFUSED_COLUMNS = ["refused", "recipient", "attributes", "as_of", "dirty_at", "status", "reason"]
TAKEN_COLUMNS = [*REFUSED_COLUMNS, "pushed_hash", "synced_at"]


def _taken(integration: Integration, profile: Profile, pushed_hash: str) -> Contact:
    """Return the contact after a successful push."""
    return Contact(
        integration=integration,
        customer_ref=profile.customer_ref,
        remote_id=profile.remote_id if integration.contract.new_remote_id() else _identity(integration, profile.recipient),
        recipient=dict(profile.recipient),
        attributes=freeze(profile.attributes),
        as_of=profile.as_of,
        pushed_hash=pushed_hash,
        refused=list(profile.refused),
        synced_at=timezone.now(),
        status=ContactStatus.SYNCED,
    )


def _refused(integration: Integration, profile: Profile, attribute: str, words: str = "") -> Contact:
    """Return the contact after a refusal: without the refused attribute the rest is pushed once more."""
    final = attribute == ALL_ATTRIBUTES or attribute in profile.refused
    return Contact(
        integration=integration,
        customer_ref=profile.customer_ref,
        remote_id=profile.remote_id,
        recipient=dict(profile.recipient),
        attributes=freeze(profile.attributes),
        as_of=profile.as_of,
        refused=sorted({*profile.refused, attribute}),
        dirty_at=None if final else timezone.now(),
        status=ContactStatus.REFUSED,
        reason=(words or attribute)[:300],
    )


def freeze(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as JSON keeps them: a time as {"at": ISO 8601}."""
    return {key: {"at": value.isoformat()} if isinstance(value, datetime) else value for key, value in attributes.items()}


def thaw(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `freeze` was given."""
    return {key: datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value for key, value in attributes.items()}


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
    return {row.customer_ref: profile_of(row, row.recipient, row.as_of) for row in rows}


def mark_dirty(integration: Integration, refs: Iterable[str], at: datetime | None = None) -> None:
    """Have these contacts pushed without an event: now, or then."""
    at = at or timezone.now()
    _upsert([Contact(integration=integration, customer_ref=ref, dirty_at=at) for ref in refs], ["dirty_at"])


def note_unchanged(integration: Integration, refs: Iterable[str]) -> None:
    """Note that nothing about these contacts has to be pushed."""
    rows = Contact.objects.filter(integration=integration, customer_ref__in=list(refs), dirty_at__isnull=False)
    rows.update(dirty_at=None)


def forget(integration: Integration, refs: Iterable[str]) -> None:
    """Push no more what the host does not know any more."""
    Contact.objects.filter(integration=integration, customer_ref__in=list(refs)).update(dirty_at=None)


def mark_refused(integration: Integration, profiles: Iterable[Profile], words: str) -> None:
    """Note that the provider does not take these contacts as they are."""
    _upsert([_refused(integration, profile, ALL_ATTRIBUTES, words) for profile in profiles], REFUSED_COLUMNS)
