"""What a provider module declares, and the plain values that travel between it and the rest.

Everything here is pure: data in, data out; no ORM, no HTTP library, no clock. A provider module turns deliveries into
`Call`s and reads a `Response` into a `Reading`; who sends, stores and retries is none of its business.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from integrations.providers.callbacks import CallbackItem, ComingBack, generic


class Outcome(StrEnum):
    """What a call meant for one delivery. Values, not exceptions: exceptions are bugs."""

    ACCEPTED = "accepted"  # the provider has it
    TRANSIENT = "transient"  # it does not have it; the same request may succeed later
    UNCERTAIN = "uncertain"  # it may have it
    PERMANENT = "permanent"  # this event can never be sent
    CONFIGURATION = "configuration"  # this integration cannot send anything until a person acts
    INTERNAL = "internal"  # our own bug


class InvalidName(ValueError):
    """An event name that the provider reserves or cannot take. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a provider module may know of one integration. `base_url` replaces scheme and host where it is set.

    `contact_email` and `probe_id` are for a credential check that can only write a test profile: an address of the merchant's
    own (empty outside a check), and a UUIDv4 that stays the same.
    """

    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    common_property: str = "customer_id"
    base_url: str = ""
    contact_email: str = ""
    probe_id: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One delivery as a packer sees it. `recipient` has customer_id, email, phone, name; `properties` are flat."""

    delivery_id: str
    name: str
    customer_ref: str
    recipient: Mapping[str, Any]
    properties: Mapping[str, Any]
    occurred_at: datetime
    remote_id: str = ""  # the stored id of our own making, where the provider has such (`Provider.new_remote_id`)


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one contact at the provider: what was last pushed, and which attributes it refused.

    `attributes` are what the loyalty programme knows of the customer, by the names of `LOYALTY_ATTRIBUTES`; those that are not
    known are absent. Times in it are aware datetimes.
    """

    customer_ref: str
    recipient: Mapping[str, Any]
    pushed_hash: str = ""
    refused: Sequence[str] = ()
    as_of: datetime | None = None  # when the snapshot in `recipient` was taken
    remote_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Tell whether the provider has taken this contact before."""
        return bool(self.pushed_hash)


# What a profile may carry besides the person. Each value has the time at which it was last known to be so beside it.
LOYALTY_ATTRIBUTES: Mapping[str, Any] = MappingProxyType(
    {
        "nector_coins": _("Coin balance"),
        "nector_coins_as_of": _("Coin balance, as of"),
        "nector_tier": _("Tier"),
        "nector_tier_as_of": _("Tier, as of"),
        "nector_referral_code": _("Referral code"),
        "nector_referral_link": _("Referral link"),
        "nector_referral_as_of": _("Referral code and link, as of"),
        "nector_next_expiry_coins": _("Coins that expire next"),
        "nector_next_expiry_at": _("When they expire"),
        "nector_next_expiry_as_of": _("Next expiry, as of"),
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `body` is sent as it is; `secret_headers` and `secret_params` are never stored or logged."""

    method: str
    url: str = field(repr=False)  # it may carry a secret; so may headers and body
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    secret_headers: frozenset[str] = frozenset()
    secret_params: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, as read within the time and size limits. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return the body as JSON, or None where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):  # nested a thousand deep, it is no answer either
            return None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer. `sent` tells whether the request may have reached the provider."""

    kind: str  # refused, dns, tls, connect_timeout, read_timeout, cut, unreadable, too_large, redirect, internal
    message: str
    sent: bool


Answer = Response | Fault


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a call: a delivery's event (`delivery_id`), or a contact's profile (`customer_ref` and its hash)."""

    delivery_id: str = ""
    customer_ref: str = ""
    profile_hash: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request and the records in it, in the order in which the provider counts them.

    `is_bulk`: of its kind only `Limits.bulk_in_flight` may be under way at once. `spends`: what it takes of the limits of
    `Limits.per_minute`.
    """

    request: Request
    records: tuple[Record, ...]
    is_bulk: bool = False
    spends: Mapping[str, int] = field(default_factory=dict)

    @property
    def delivery_ids(self) -> list[str]:
        """Return the deliveries in this call."""
        return [record.delivery_id for record in self.records if record.delivery_id]


@dataclass(frozen=True, slots=True)
class Packed:
    """Calls to make, and deliveries that cannot be sent at all (id to the reason, in words)."""

    calls: tuple[Call, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means: for a whole call, or for one record of it. `max_tries` 0: as many as the table of steps."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    max_tries: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A call's answer, read. `verdict` holds for every delivery that `deliveries` does not name.

    `refused` maps a contact to the attribute its provider refused, `*` for all of it; its other attributes are sent again
    without it. `refused_reasons` has the provider's words about a contact, where they are not the call's.
    `hold_seconds` asks to leave this integration alone for a while: it costs no delivery a try. None: no hold. `is_hold_named`:
    the provider named that time itself, so it is kept as it is; otherwise it grows while refusals go on.
    `split` says that the batch as a whole was refused and should be tried in smaller parts.
    """

    verdict: Verdict
    deliveries: Mapping[str, Verdict] = field(default_factory=dict)
    contacts: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    refused_reasons: Mapping[str, str] = field(default_factory=dict)
    hold_seconds: float | None = None
    is_hold_named: bool = False
    split: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """The end of a credential check. `reachable` False: nothing was learned, keep what was known before."""

    ok: bool
    reason: str = ""
    fix: str = ""
    detail: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """One value that staff enter: where it is found, what it looks like, what goes wrong with a wrong one.

    `names_account`: another value means another account there, which knows nothing of what was pushed before.
    """

    name: str
    label: Any
    where: Any
    looks_like: str = ""
    wrong: Any = ""
    secret: bool = False
    required: bool = True
    choices: tuple[tuple[str, Any], ...] = ()
    names_account: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step of the set-up page, in the words of the provider's own guide.

    `leads_to` names our page on which the step is done, of `STEP_PAGES`; empty: here, or at the provider.
    """

    title: Any
    body: Any
    fields: tuple[str, ...] = ()
    leads_to: str = ""


STEP_PAGES = frozenset(["new_event", "test", "deliveries", "journey"])


@dataclass(frozen=True, slots=True)
class Limits:
    """The contract's limits. Bytes of a body, records of a call, calls under way at once per account.

    `contacts_per_call` and `bulk_in_flight` hold for profiles pushed many at a time (`pack_contacts` with `bulk`).
    `per_minute` has what an account may send within any minute, by a name of the module's own; `Call.spends` counts it.
    """

    records_per_call: int
    bytes_per_call: int
    calls_in_flight: int
    contacts_per_call: int = 1
    bulk_in_flight: int = 1
    per_minute: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Journey:
    """What staff do at the provider once an event has arrived there: its guide's last steps, and its template language.

    `steps` may hold `%(event)s`, the exact trigger name. `snippet` has `%(name)s` where a property's name belongs; empty where
    the provider publishes no syntax: then `syntax_note` says how to find it.
    """

    steps: tuple[Any, ...]
    snippet: str = ""
    syntax_note: Any = ""


@dataclass(frozen=True, slots=True)
class LaunchItem:
    """One line of the launch checklist. `fact` names what the product can know by itself (see `LAUNCH_FACTS`); empty: by hand."""

    key: str
    text: Any
    fact: str = ""


LAUNCH_FACTS = frozenset(["initialized", "event_created", "test_accepted", "profile_matched", "link_clicked", "no_duplicates"])


@dataclass(frozen=True, slots=True)
class Guide:
    """What the set-up page says around the steps, and what comes after: the journey there, the checks before launch."""

    purpose: Any
    before: tuple[Any, ...]
    steps: tuple[Step, ...]
    check: tuple[Any, ...] = ()
    journey: Journey = Journey(())
    launch: tuple[LaunchItem, ...] = ()
    caveats: tuple[Any, ...] = ()  # what nobody can know or promise about this provider; shown where it matters


class Provider(ABC):
    """One engagement platform. A module in this package sets `PROVIDER` to an instance of a subclass."""

    slug: ClassVar[str]
    label: ClassVar[str]
    category: ClassVar[Any]
    docs_url: ClassVar[str]
    limits: ClassVar[Limits]
    fields: ClassVar[tuple[Field, ...]]
    identities: ClassVar[tuple[tuple[str, Any], ...]]
    guide: ClassVar[Guide]
    # The provider takes events only of contacts that were pushed before: one whose profile is news is pushed first.
    identify_first: ClassVar[bool] = False
    # Its profiles can hold LOYALTY_ATTRIBUTES, so that segments can be built on them.
    holds_attributes: ClassVar[bool] = True
    # How old an event may be for a live journey there to start from it. None: no such limit is published.
    live_window: ClassVar[timedelta | None] = None
    # On which channel its messages go out: `email`, `sms` or `whatsapp`; empty where the journey there chooses.
    channel: ClassVar[str] = ""
    # Connecting fills a list there: every customer is pushed after Initialize, many at a time.
    fills_list: ClassVar[bool] = False
    # How staff have somebody forgotten there: what was sent stays at the provider until they do.
    forgetting: ClassVar[Any] = _("No way to delete one person is published. Ask the provider's support, and name the email.")

    # How what came of a message comes back.
    coming_back: ClassVar[ComingBack] = ComingBack()

    def parse_callback(self, kind: str, body: Any) -> Sequence[CallbackItem]:
        """Read what the provider sent to its callback address. `kind` is the one that the address names, if any.

        `body` is any JSON, or a form as an object. Never raises: what cannot be understood is an item of kind `unknown`.
        """
        return generic(kind, body)

    def new_remote_id(self) -> str:
        """Return a fresh id for a customer, where the provider wants one of our making; it is stored before it is used."""
        return ""

    def calls_per_second(self, account: Account) -> float | None:
        """Return how many calls a second this account may make, all kinds together; None where no figure is published."""
        return None

    def default_event_name(self, trigger: str) -> str:
        """Return the name an event gets when staff type none: the topic."""
        return trigger

    def event_name(self, name: str) -> str:
        """Return the name as it leaves. Raises InvalidName for one that the provider reserves or cannot take."""
        return name.strip()

    def property_names(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Return under which name each property of an event arrives: what messages there must call it."""
        return {name: name for name in properties}

    def clean(self, name: str, value: str) -> str:
        """Return a typed value of field `name`, tidied. Raises ValueError that says what to do."""
        return value.strip()

    def check_together(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what is certainly wrong with values that do not fit together: a field's name to the complaint.

        A complaint keeps staff from saving, and never repeats a value: one of them is a secret.
        """
        return {}

    def doubts(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what only looks wrong, by a value's shape: a field's name to a hint. It keeps nobody from anything."""
        return {}

    def refuse_settings(self, account: Account) -> Verification | None:
        """Return what is wrong with settings for which there is no address to call, or None. Nothing is sent with such."""
        return None

    @abstractmethod
    def identity(self, recipient: Mapping[str, Any], common_property: str) -> str | None:
        """Return the value by which the provider knows this customer, or None where there is none it would take."""

    @abstractmethod
    def verify_steps(self, account: Account) -> Generator[Request, Answer, Verification]:
        """Check the credentials: yield a request, receive its answer, and so on; return what was learned."""

    @abstractmethod
    def pack_events(self, account: Account, events: Sequence[Event], profiles: Mapping[str, Profile], now: datetime) -> Packed:
        """Pack deliveries into as few calls as the contract allows, one customer's events in one call, in order.

        `profiles` has those customers whose profile may be news to the provider; the others are known as they are.
        """

    @abstractmethod
    def pack_contacts(self, account: Account, profiles: Iterable[Profile], now: datetime, bulk: bool = False) -> Packed:
        """Pack profiles alone, for contacts that changed without an event; those with nothing new are left out.

        `bulk`: these are all customers, not one who has just arrived: many a call, where the provider has a call for it.
        """

    @abstractmethod
    def read(self, call: Call, answer: Response) -> Reading:
        """Read what the provider answered to this call, per record."""
