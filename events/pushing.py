"""Pushing profiles alone: in as few calls as the contract allows, and knowing of each what became of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from events import breaker, contacts
from events.flights import Landing, send
from events.host import HostProfile
from events.models import Contact
from events.pause import credentials_refused
from events.payload import freeze
from events.results import settle
from events.sender import Sender
from events.turns import PushTurn
from integrations.hygiene import about
from integrations.models import Integration
from integrations.providers.base import Account, Call, Outcome, Profile, Reading, Verdict

logger = logging.getLogger(__name__)
IDLE_SECONDS = 0.1  # before looking again for room that others take
SPLITS_PER_PUSH = 40  # finds some bad profiles among many; a provider that refuses every batch costs no more


@dataclass
class Pushed:
    """What became of each contact, by reference. `left`: not tried any more, time or permission ran out."""

    taken: set[str] = field(default_factory=set)
    unchanged: set[str] = field(default_factory=set)
    without_identity: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)  # with the provider's words
    failed: dict[str, str] = field(default_factory=dict)  # not through now; the same profile may be taken later
    left: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing has to be tried again."""
        return not self.failed and not self.left

    @property
    def got_through(self) -> bool:
        """Tell whether the provider said something about every contact, though not always yes or no."""
        return not self.left and bool(self.taken or self.unchanged or self.refused)


class Push(Sender):
    """Pushes profiles over one integration until its turn is over, which begins with it."""

    def __init__(self, integration: Integration, account: Account) -> None:
        """Work for this integration with these credentials."""
        super().__init__(integration, account)
        self.allowance = replace(self.allowance, is_beside=True)  # a drain may send at the same time
        self.turn = PushTurn(integration.pk)
        self.splits_left = SPLITS_PER_PUSH
        self.halved: set[int] = set()  # calls that are tried again in smaller parts

    def is_over(self) -> bool:
        """Tell whether nothing more may leave: not now, or not in this turn."""
        return self.stopped or self.turn.is_over()

    def run(self, found: Iterable[HostProfile], bulk: bool = False) -> Pushed:
        """Push these customers as the host knows them now. `bulk`: they are all customers, not some who changed."""
        pushed = Pushed()
        profiles = self._profiles(found, pushed)
        calls = self._pack(list(profiles.values()), pushed, bulk)
        pushed.unchanged = set(profiles) - set(pushed.refused) - {ref for call in calls for ref in _refs(call)}
        contacts.note_unchanged(self.integration, pushed.unchanged | pushed.without_identity)
        self._send(calls, profiles, pushed, bulk)
        pushed.left = set(profiles) - pushed.taken - pushed.unchanged - set(pushed.refused) - set(pushed.failed)
        return pushed

    def _profiles(self, found: Iterable[HostProfile], pushed: Pushed) -> dict[str, Profile]:
        """Return what the provider's module takes, by customer; note who has no value for the common property."""
        now = timezone.now()
        people = {item.ref: item for item in found}
        stored = contacts.stored(self.integration, people)
        ids = contacts.give_ids(self.integration, people)
        profiles = {}
        for ref, item in people.items():
            recipient = {key: freeze(value) for key, value in item.recipient.items() if value not in (None, "")}
            identity = self.contract.identity(recipient, self.integration.common_property)
            if identity is None:
                pushed.without_identity.add(ref)
                continue
            attributes = {key: value for key, value in item.attributes.items() if value not in (None, "")}
            contact = stored.get(ref) or Contact(customer_ref=ref)
            profile = contacts.profile_of(contact, recipient, now)
            if not ids and contact.remote_id != identity:
                profile = replace(profile, pushed_hash="")  # another address: somebody new to the provider
            profiles[ref] = replace(profile, attributes=attributes, remote_id=ids.get(ref, contact.remote_id))
        return profiles

    def _pack(self, profiles: Sequence[Profile], pushed: Pushed, bulk: bool) -> Sequence[Call]:
        """Pack profiles; those on which our own code breaks are refused, and hold back nobody else."""
        now = timezone.now()
        try:
            return self.contract.pack_contacts(self.account, profiles, now, bulk=bulk).calls
        except Exception:  # the worker's edge: one contact that cannot be packed must not stop the push
            logger.exception("Profiles for %s could not be packed.", self.contract.slug, extra=about(self.integration.pk))
        sound = [profile for profile in profiles if self._packs(profile, bulk)]
        broken, words = (
            [profile for profile in profiles if profile not in sound],
            _("Our own code failed on it; that was logged."),
        )
        pushed.refused |= dict.fromkeys((profile.customer_ref for profile in broken), words)
        contacts.mark_refused(self.integration, broken, words)
        return self.contract.pack_contacts(self.account, sound, now, bulk=bulk).calls if sound else ()

    def _packs(self, profile: Profile, bulk: bool) -> bool:
        """Tell whether this profile alone can be packed."""
        try:
            self.contract.pack_contacts(self.account, [profile], timezone.now(), bulk=bulk)
        except Exception:
            return False
        return True

    def _send(self, calls: Sequence[Call], profiles: Mapping[str, Profile], pushed: Pushed, bulk: bool) -> None:
        """Send calls as room and rate allow, and note what became of each contact."""
        waiting, under_way, halves = list(calls), set[Future[Landing]](), list[list[str]]()
        with ThreadPoolExecutor(self.threads) as pool:
            while waiting or under_way:
                if waiting and not self.is_over():
                    flights = self.in_time(self.stamp(waiting[: self.threads - len(under_way)], profiles))
                    leaving = {id(flight.call) for flight in flights}
                    waiting = [call for call in waiting if id(call) not in leaving]
                    under_way |= {pool.submit(send, flight) for flight in flights}
                elif not under_way:
                    break  # what waits is left
                if not under_way:
                    time.sleep(IDLE_SECONDS)
                    continue
                landed, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in landed:
                    halves += self._note(future.result(), pushed)
        for refs in halves:
            part = [profiles[ref] for ref in refs]
            packed = self.contract.pack_contacts(self.account, part, timezone.now(), bulk=bulk)
            self._send(packed.calls, profiles, pushed, bulk)

    def distrust(self, verdict: Verdict, asked_at: datetime) -> None:
        """Let events go on while only profiles are refused; a list that is to be filled belongs to the connection, though."""
        sure = not self.contract.fills_list
        credentials_refused(self.integration, self.account, verdict, timezone.now(), asked_at, if_confirmed=sure)

    def heed(self, silent: bool | None, asked_at: datetime) -> None:
        """Tell the breaker of answers only: one profile on which the provider breaks must not shut out events.

        Pushes wait longer and longer by themselves.
        """
        if silent is False:
            breaker.answered(self.integration, asked_at)

    def takes_over(self, landing: Landing, reading: Reading) -> bool:
        """A batch that was refused as a whole says nothing about any contact in it: it is tried again in halves."""
        if not reading.split or len(_refs(landing.flight.call)) < 2 or self.splits_left <= 0:
            return False
        self.splits_left -= 1
        self.halved.add(landing.flight.row.pk)
        settle(landing.flight.row, reading, timezone.now())
        return True

    def _note(self, landing: Landing, pushed: Pushed) -> list[list[str]]:
        """Write one answer down. Returns the halves to try where a batch was refused as a whole."""
        refs, reading = _refs(landing.flight.call), self.land(landing)
        if landing.flight.row.pk in self.halved:
            half = (len(refs) + 1) // 2
            return [refs[:half], refs[half:]]
        if reading is None:  # it came after its lease: nobody noted it, so it is pushed again
            pushed.failed |= dict.fromkeys(refs, "")
            return []
        words = reading.verdict.message
        open_refs = [ref for ref in refs if ref not in reading.contacts and ref not in reading.refused]
        pushed.taken |= reading.contacts
        pushed.refused |= {ref: reading.refused_reasons.get(ref, words) for ref in reading.refused}
        if reading.verdict.outcome is not Outcome.PERMANENT:
            pushed.failed |= dict.fromkeys(open_refs, words)
        else:
            pushed.refused |= dict.fromkeys(open_refs, words)
            contacts.mark_refused(self.integration, [landing.flight.profiles[ref] for ref in open_refs], words)
        return []


def _refs(call: Call) -> list[str]:
    """Return the customers in a call, in order."""
    return list(dict.fromkeys(record.customer_ref for record in call.records))
