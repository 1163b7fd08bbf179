"""Merchants, their staff, and their connections to providers."""

from __future__ import annotations

import secrets as random_secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from integrations.fields import SecretField, SecretUnreadable
from integrations.providers import choices, get_provider
from integrations.providers.base import Account, Provider
from integrations.secrets import MASK, Secrets, bind, mask, unbind

MOST_NECTOR_SECRETS = 5  # valid at the same time: one is enough but for the hours in which it is replaced


def check_timezone(name: str) -> None:
    """Refuse a time zone that the IANA database does not have."""
    if name not in available_timezones():
        raise ValidationError(_("“%(name)s” is no time zone. Use a name such as Asia/Kolkata."), params={"name": name})


class Platform(models.TextChoices):
    """Where a merchant's store runs."""

    SHOPIFY = "shopify", _("Shopify")
    WOOCOMMERCE = "woocommerce", _("WooCommerce")
    MAGENTO = "magento", _("Magento")
    CUSTOM = "custom", _("Custom website")


class HmacMode(models.TextChoices):
    """What the HMAC of a webhook is good for. Nector names its algorithm, but neither its key nor what it is taken of."""

    OFF = "off", _("Not looked at")
    REPORT = "report", _("Checked and reported")
    ENFORCE = "enforce", _("Checked, and refused where it is wrong")


def new_token() -> str:
    """Return an unguessable token for a URL."""
    return random_secrets.token_urlsafe(24)


class Merchant(models.Model):
    """A store or brand. Its staff work in the admin and see only their own merchants."""

    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(_("slug"), max_length=100, unique=True)
    website = models.URLField(_("website"), blank=True)
    platform = models.CharField(_("platform"), max_length=30, choices=Platform, default=Platform.SHOPIFY)
    timezone = models.CharField(_("time zone"), max_length=63, default="UTC", validators=[check_timezone])
    currency = models.CharField(_("currency"), max_length=3, default="USD", help_text=_("ISO code, for example INR."))
    coin_name = models.CharField(
        _("word for coins"),
        max_length=40,
        default="coins",
        help_text=_("What your customers collect: coins, points, stars ..."),
    )
    staff = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Membership", related_name="merchants", verbose_name=_("staff"), blank=True
    )
    # How often and when customers are written to, whatever the event. Empty: as often as something happens, at any hour.
    cap_count = models.PositiveSmallIntegerField(
        _("events per customer, at most"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    cap_hours = models.PositiveSmallIntegerField(
        _("within hours"), default=24, validators=[MinValueValidator(1), MaxValueValidator(720)]
    )
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    # The door for Nector's own webhooks: its address, the secrets that are valid, and how strictly the HMAC is taken.
    nector_webhook_token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    sealed_nector_secrets: Any = SecretField(null=True, editable=False)
    nector_hmac_mode = models.CharField(_("HMAC of webhooks"), max_length=10, choices=HmacMode, default=HmacMode.REPORT)
    # Bound into the encrypted secrets, so that nobody can paste one merchant's into another.
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=now, editable=False)

    class Meta:
        verbose_name = _("merchant")
        verbose_name_plural = _("merchants")
        ordering = ["name"]

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    def clean(self) -> None:
        """Refuse quiet hours without a beginning or an end, or of no length."""
        if (self.quiet_from is None) != (self.quiet_until is None):
            missing = "quiet_from" if self.quiet_from is None else "quiet_until"
            raise ValidationError({missing: _("Quiet hours need a beginning and an end.")})
        if self.quiet_from is not None and self.quiet_from == self.quiet_until:
            raise ValidationError({"quiet_until": _("Quiet hours must end at another time than they begin.")})

    @property
    def nector_secrets(self) -> Secrets:
        """Return every secret that is valid for Nector's webhooks, by the moment it was added (ISO 8601, UTC), oldest first.

        Raises SecretUnreadable for a wrong key or another merchant's ciphertext.
        """
        found = unbind(self.sealed_nector_secrets, None, str(self.uid))
        return Secrets(sorted(found.items()))

    @nector_secrets.setter
    def nector_secrets(self, values: Mapping[str, str]) -> None:
        """Have only these secrets valid; they are encrypted when the row is saved."""
        self.sealed_nector_secrets = bind(dict(values), None, str(self.uid)) if values else None

    @property
    def nector_webhook_secret(self) -> str:
        """Return the secret that was added last, empty if there is none. Raises SecretUnreadable."""
        return next(reversed(self.nector_secrets.values()), "")

    @nector_webhook_secret.setter
    def nector_webhook_secret(self, value: str) -> None:
        """Add a secret to those that are valid, as while one replaces another; an empty one changes nothing."""
        try:
            others = {at: secret for at, secret in self.nector_secrets.items() if secret != value}
        except SecretUnreadable:  # a new one is what puts that right
            others = {}
        if value:
            newest = sorted(others.items())[1 - MOST_NECTOR_SECRETS :]
            self.nector_secrets = {**dict(newest), now().isoformat(timespec="microseconds"): value}


class Role(models.TextChoices):
    """What a member of staff may do for a merchant."""

    OWNER = "owner", _("Owner: everything of the merchant, staff included")
    MANAGER = "manager", _("Manager: integrations, events, replay")
    VIEWER = "viewer", _("Viewer: history and statistics")


class Membership(models.Model):
    """A user's place in a merchant's staff."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, verbose_name=_("merchant"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user"))
    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.OWNER)

    class Meta:
        verbose_name = _("member of staff")
        verbose_name_plural = _("members of staff")
        constraints = [models.UniqueConstraint(fields=["merchant", "user"], name="membership_once")]

    def __str__(self) -> str:
        """Return who and where."""
        return f"{self.user} · {self.merchant}"


class Status(models.TextChoices):
    """The state of an integration."""

    DRAFT = "draft", _("Not connected")  # credentials were never accepted
    INITIALIZING = "initializing", _("Connecting")  # a check is under way
    ACTIVE = "active", _("Active")  # events flow
    ATTENTION = "attention", _("Needs attention")  # nothing flows until a person acts; the queue is held
    PAUSED = "paused", _("Paused")  # a person stopped it; the queue is held


@dataclass(frozen=True, slots=True)
class InitializeResult:
    """What came of `Integration.initialize()`: success, or the reason and the fix in plain words."""

    ok: bool
    reason: str = ""
    fix: str = ""
    detail: str = ""


# What a new beginning puts back: nobody is waited for, and the breaker is closed.
BREAKER_CLOSED: dict[str, Any] = {
    "breaker_failures": 0,
    "breaker_failing_since": None,
    "breaker_failed_at": None,
    "breaker_until": None,
    "breaker_trips": 0,
    "breaker_probe_until": None,
}
UNHELD: dict[str, Any] = {"hold_until": None, "hold_count": 0, **BREAKER_CLOSED}


class Integration(models.Model):
    """One merchant's connection to one provider: identity property, credentials, state."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="integrations", verbose_name=_("merchant"))
    provider = models.CharField(_("provider"), max_length=30, choices=choices)
    common_property = models.CharField(_("common property"), max_length=20, default="customer_id")
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    sealed_secrets: Any = SecretField(null=True, editable=False, db_column="secrets")
    secrets_changed_at = models.DateTimeField(null=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=False)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.DRAFT)
    status_reason = models.TextField(_("reason"), blank=True)
    status_fix = models.TextField(_("what to do"), blank=True)
    status_changed_at = models.DateTimeField(default=now, editable=False)
    initialized_at = models.DateTimeField(_("connected at"), null=True, editable=False)
    callback_token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    # Bound into the encrypted credentials, so that nobody can paste one row's secrets into another.
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # New values of a connected integration, {common_property, settings, secrets}: they replace the others once a check took them.
    sealed_candidate: Any = SecretField(null=True, editable=False)
    # A check in the background: since when, what the status was before, and what came of the last one. While it is under way
    # the result holds {state, by, resumes}; `learned` is false where the provider could not be asked.
    check_started_at = models.DateTimeField(null=True, editable=False)
    status_before = models.CharField(max_length=12, blank=True, editable=False)
    check_result = models.JSONField(default=dict, blank=True, editable=False)  # {ok, reason, fix, detail, learned, at}
    # What staff ticked by hand on the launch checklist: item to {by, at}.
    checklist = models.JSONField(default=dict, blank=True, editable=False)
    account_mark = models.CharField(max_length=64, blank=True, editable=False)  # see `integrations.accounts`
    # Written by the outbox: when a drain was last asked for, and until when this integration must be left alone.
    bell_rung_at = models.DateTimeField(null=True, editable=False)
    bell_token = models.BigIntegerField(null=True, editable=False)  # of the task that was asked for; see `events.bell`
    hold_until = models.DateTimeField(null=True, editable=False)
    hold_count = models.PositiveIntegerField(default=0, editable=False)
    paced_until = models.DateTimeField(null=True, editable=False)  # calls up to here have their moment, where a rate is given
    minute_spent = models.JSONField(default=dict, editable=False)  # what was sent of each limit a minute (events.budgets)
    served_at = models.DateTimeField(null=True, editable=False)  # when a worker last turned to it: the longest ago is next
    # The breaker (events.breaker): calls in a row that got no answer, since when, and until when nothing is tried.
    breaker_failures = models.PositiveIntegerField(default=0, editable=False)
    breaker_failing_since = models.DateTimeField(null=True, editable=False)
    breaker_failed_at = models.DateTimeField(null=True, editable=False)
    breaker_until = models.DateTimeField(null=True, editable=False)  # set: open until then, afterwards half-open
    breaker_trips = models.PositiveIntegerField(default=0, editable=False)  # in a row: each makes the pause longer
    breaker_probe_until = models.DateTimeField(null=True, editable=False)  # a worker is trying one event, under this lease
    # The same for profiles: when a push was last asked for, which one is at work, up to when changes were looked at.
    push_rung_at = models.DateTimeField(null=True, editable=False)
    push_token = models.BigIntegerField(null=True, editable=False)
    push_leased_until = models.DateTimeField(null=True, editable=False)
    profiles_seen_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = _("integration")
        verbose_name_plural = _("integrations")
        ordering = ["merchant__name", "provider"]

    def __str__(self) -> str:
        """Return provider and merchant."""
        return f"{self.label} · {self.merchant}"

    @property
    def contract(self) -> Provider:
        """Return the provider's module. Raises KeyError for a provider that is no longer installed."""
        return get_provider(self.provider)

    @property
    def label(self) -> str:
        """Return the provider's name, also for one that is no longer installed."""
        try:
            return self.contract.label
        except KeyError:
            return self.provider

    @property
    def secrets(self) -> Secrets:
        """Return the plain credentials, decrypted now. Raises SecretUnreadable for a wrong key or a foreign row's."""
        return unbind(self.sealed_secrets, self.merchant_id, str(self.uid))

    @secrets.setter
    def secrets(self, values: dict[str, Any]) -> None:
        """Take plain credentials; they are encrypted when the row is saved."""
        self.sealed_secrets = bind(values, self.merchant_id, str(self.uid))
        self.secrets_changed_at = now()

    @property
    def masked_secrets(self) -> dict[str, str]:
        """Return the credentials as pages may show them; one that cannot be read says so and breaks nothing."""
        try:
            return {name: mask(value) for name, value in self.secrets.items()}
        except SecretUnreadable:
            return {field.name: f"{MASK} (unreadable)" for field in self.contract.fields if field.secret}

    def account(self) -> Account:
        """Return what the provider's module needs. Raises SecretUnreadable."""
        return Account(self.settings or {}, self.secrets, self.common_property, self.base_url, probe_id=str(self.uid))

    @property
    def base_url(self) -> str:
        """Return what replaces scheme and host of every call to the provider, usually nothing."""
        return str(settings.PROVIDER_BASE_URLS.get(self.provider, ""))

    def initialize(self) -> InitializeResult:
        """Check the saved values at the provider, save what came of it, and never raise for its or the network's fault.

        For programs: it waits for the answer, and it leaves new values that wait for their own check (`candidates`) alone.
        The admin's button does the same in the background (`background.begin`).
        """
        from integrations.verification import initialize

        return initialize(self)


class Notice(models.Model):
    """That people were told of one integration that needs attention, and once more when it sent again. See `events.notices`.

    While it is open it speaks for the whole trouble, however often the state changes: there is one at a time.
    """

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="notices", verbose_name=_("integration"))
    opened_at = models.DateTimeField(_("needs attention since"))
    told = models.JSONField(_("told"), default=list)  # the keys of the users to whom the mail was handed over
    told_at = models.DateTimeField(_("told at"), null=True)
    recovered_at = models.DateTimeField(_("sends again since"), null=True)
    told_again = models.JSONField(default=list)  # of those, who know of the recovery
    closed_at = models.DateTimeField(_("closed at"), null=True)
    tries = models.PositiveSmallIntegerField(default=0)  # of the mail that is due
    next_try_at = models.DateTimeField(null=True)  # None: no mail is due

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["integration"], condition=models.Q(closed_at__isnull=True), name="one_open_notice"),
        ]

    def __str__(self) -> str:
        """Return whose and when."""
        return f"{self.integration} {self.opened_at:%Y-%m-%d %H:%M}"
