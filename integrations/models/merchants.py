"""Merchants and their staff."""

from __future__ import annotations

import secrets as random_secrets
import uuid
from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from integrations.fields import SecretField, SecretUnreadable
from integrations.secrets import Secrets, bind, unbind

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


class OpenTracking(models.TextChoices):
    """Whose opens are noted. In any case nobody's who said no, and the picture is there for everybody."""

    EVERYBODY = "everybody", _("Of everybody who has not said no")
    CONSENTED = "consented", _("Only of customers who agreed to be written to")
    NOBODY = "nobody", _("Of nobody")


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
    open_tracking = models.CharField(
        _("opens are noted"), max_length=10, choices=OpenTracking, default=OpenTracking.EVERYBODY, db_default="everybody"
    )
    requires_second_factor = models.BooleanField(_("second factor required"), default=False, db_default=False)
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
