"""Customers: whom a merchant knows, and what they agreed to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.host import CHANNELS
from integrations.models import Merchant


class Consent(models.TextChoices):
    """What a customer said about being written to."""

    SUBSCRIBED = "subscribed", _("Subscribed")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    UNKNOWN = "unknown", _("Unknown")


def _consent(label: Any) -> models.CharField:
    """Return a consent column for one channel."""
    return models.CharField(label, max_length=12, choices=Consent, default=Consent.UNKNOWN)


# What is announced when it changes. Consent is not among them: it says to whom something may be sent, and is no news itself.
DETAILS = ("customer_id", "email", "phone", "name", "referral_code")
FRESH_SECONDS = 5.0  # after that consent is asked for anew; what changed within them, `Host.unsubscribed_since` tells
CONSENTS = tuple(f"consent_{channel}" for channel in CHANNELS)


class CustomerQuerySet(models.QuerySet["Customer"]):
    """Notes the time of a change also where rows change without being saved."""

    def update(self, **values: Any) -> int:
        """Update, and stamp the change."""
        return super().update(**{"changed_at": timezone.now(), **values})


class Customer(models.Model):
    """A merchant's customer (Nector: lead). Email and phone may be missing: people join at a counter, too."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="customers", verbose_name=_("merchant"))
    customer_id = models.CharField(
        _("customer ID"), max_length=128, blank=True, help_text=_("The store's own ID of this customer, if it has one.")
    )
    nector_id = models.CharField(max_length=160, blank=True, editable=False)  # as Nector writes it, its source in front
    email = models.EmailField(_("email"), blank=True)
    phone = models.CharField(_("mobile"), max_length=20, blank=True, help_text=_("With country code, for example +919876543210."))
    name = models.CharField(_("name"), max_length=200, blank=True)
    tier = models.CharField(_("tier"), max_length=60, blank=True)
    referral_code = models.CharField(_("referral code"), max_length=60, blank=True)
    consent_email = _consent(_("email consent"))
    consent_sms = _consent(_("SMS consent"))
    consent_whatsapp = _consent(_("WhatsApp consent"))
    # The time of the newest news of them from Nector: older ones, which come late, change nothing.
    as_of = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("joined at"), default=timezone.now, editable=False)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "customer_id"], condition=~Q(customer_id=""), name="customer_once")
        ]
        indexes = [
            models.Index(fields=["merchant", "customer_id"], name="customer_by_own_id"),
            models.Index(fields=["merchant", "referral_code"], condition=~Q(referral_code=""), name="customer_by_code"),
            models.Index(fields=["merchant", "phone"], condition=~Q(phone=""), name="customer_by_phone"),
            models.Index(F("merchant"), Lower("email"), name="customer_by_address"),
            models.Index(fields=["merchant", "changed_at"], name="customer_changed"),
        ]

    def __str__(self) -> str:
        """Return the best name there is."""
        return self.name or self.email or self.customer_id or self.phone or str(_("Customer"))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, with the time of the change also where only some columns are saved."""
        if kwargs.get("update_fields"):
            kwargs["update_fields"] = {*kwargs["update_fields"], "changed_at"}
        super().save(*args, **kwargs)

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Customer:
        """Remember what was loaded."""
        customer: Customer = super().from_db(*args, **kwargs)
        customer.remember()
        return customer

    def remember(self) -> None:
        """Take what this says for what is stored."""
        self._known = {name: self.__dict__[name] for name in (*DETAILS, *CONSENTS, "tier") if name in self.__dict__}
        self._known_at = time.monotonic()

    def changed(self, *names: str) -> bool:
        """Tell whether any of these differs from what was stored when this was loaded or saved last."""
        return any(self._known[name] != getattr(self, name) for name in names if name in self._known)

    @property
    def consent(self) -> dict[str, str]:
        """Return what they agreed to, by channel."""
        return {channel: getattr(self, f"consent_{channel}") for channel in CHANNELS}

    def consent_now(self) -> dict[str, str]:
        """Return what they agreed to, asked for anew where this was loaded so long ago that they may have said something else."""
        if self._known_at is not None and time.monotonic() - self._known_at > FRESH_SECONDS:
            stored = Customer.objects.filter(pk=self.pk).values(*CONSENTS).first() or {}
            for name in stored:
                if not self.changed(name):
                    setattr(self, name, stored[name])
            self._known, self._known_at = {**self._known, **stored}, time.monotonic()
        return self.consent

    def former_consent(self, channel: str) -> str:
        """Return what was stored of a channel when this was loaded or saved last."""
        return str(self._known.get(f"consent_{channel}", Consent.UNKNOWN))

    @property
    def former_tier(self) -> str:
        """Return the tier that was stored when this was loaded or saved last."""
        return str(self._known.get("tier", ""))

    _known: Mapping[str, Any] = MappingProxyType({})
    _known_at: float | None = None  # monotonic; None: it was made here and not loaded

    @property
    def ref(self) -> str:
        """Return the reference under which the outbox knows this customer."""
        return str(self.pk)

    def refs(self) -> list[str]:
        """Return every reference under which the outbox knows this customer: also those of who was merged into them."""
        return [self.ref, *(str(key) for key in self.former_keys.order_by("pk").values_list("former_key", flat=True))]

    @property
    def recipient(self) -> dict[str, str]:
        """Return the snapshot that goes along with an activity."""
        return {"customer_id": self.customer_id, "email": self.email, "phone": self.phone, "name": self.name}


class Channel(models.TextChoices):
    """On what a customer can be written to."""

    EMAIL = "email", _("Email")
    SMS = "sms", _("SMS")
    WHATSAPP = "whatsapp", _("WhatsApp")


class ConsentChange(models.Model):
    """What a customer said about being written to: when, and where we know it from. Never changed afterwards."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="consent_changes", verbose_name=_("customer"))
    channel = models.CharField(_("channel"), max_length=10, choices=Channel)
    consent = models.CharField(_("consent"), max_length=12, choices=Consent)
    former = models.CharField(_("before"), max_length=12, choices=Consent)
    source = models.CharField(_("from where"), max_length=60, blank=True)
    # False: it is older than what was known already, and has changed nothing.
    is_applied = models.BooleanField(_("counts"), default=True)
    occurred_at = models.DateTimeField(_("when"), default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("change of consent")
        verbose_name_plural = _("changes of consent")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["customer", "channel", "-occurred_at"], name="consent_of_customer"),
            models.Index(fields=["created_at"], condition=Q(consent="unsubscribed"), name="consent_withdrawn"),
        ]

    def __str__(self) -> str:
        """Return channel and answer."""
        return f"{self.get_channel_display()}: {self.get_consent_display()}"


class MergedCustomer(models.Model):
    """Where a customer went who turned out to be another one: the outbox goes on naming them by their former key."""

    former_key = models.BigIntegerField(unique=True)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="former_keys", verbose_name=_("customer"))
    merged_at = models.DateTimeField(_("merged at"), default=timezone.now)

    class Meta:
        verbose_name = _("merged customer")
        verbose_name_plural = _("merged customers")

    def __str__(self) -> str:
        """Return both keys."""
        return f"{self.former_key} → {self.customer_id}"
