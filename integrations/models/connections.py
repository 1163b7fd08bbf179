"""Integrations: one merchant's connections to providers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from integrations.fields import SecretField, SecretUnreadable
from integrations.models.merchants import Merchant, new_token
from integrations.providers import choices, get_provider
from integrations.providers.base import Account, Provider
from integrations.secrets import MASK, Secrets, bind, mask, unbind


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
    sealed_callback_auth: Any = SecretField(null=True, editable=False)
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
    def callback_auth(self) -> str:
        """Return what a callback must show: `user:password` (Basic), `Header-Name: value`, or a bearer token. Empty: nothing.

        Raises SecretUnreadable.
        """
        return unbind(self.sealed_callback_auth, self.merchant_id, str(self.uid)).get("callback_auth", "")

    @callback_auth.setter
    def callback_auth(self, value: str) -> None:
        """Have callbacks show this; it is encrypted when the row is saved."""
        self.sealed_callback_auth = bind({"callback_auth": value}, self.merchant_id, str(self.uid)) if value else None

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
