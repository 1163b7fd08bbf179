"""A merchant with a row in every table that there is, all of them recognizable wherever they turn up.

Every text holds the merchant's mark, every row has the same key, and its sums are numbers that nobody else has.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import Client
from django.utils import timezone

from events.identifiers import new_id
from events.models import StatFrontier
from integrations.models import Act, AuditEntry, Integration, Membership, Merchant, Status

OURS = ("integrations", "events", "loyalty")
IDS: dict[str, uuid.UUID] = {}  # by mark: the same ones in every test, so that what was found to be posted can be posted again
LOOKING = (Act.LOGIN, Act.LOGIN_FAILED, Act.LOGOUT, Act.EXPORT)  # what is noted of those who may look, and changes nothing
NOBODYS = {"KeyRotation", "StatFrontier", "PurgeCursor", "Tally", "Worker"}  # models of the installation, not of a merchant
EVENT = {"trigger": "walletreward_create", "portal": "all"}


class World:
    """One merchant and all that belongs to it."""

    def __init__(self, mark: str, key: int) -> None:
        """Make a row of every model of ours."""
        self.mark, self.key, self.sum = mark, key, key * 7
        self.uuid = IDS.setdefault(mark, new_id())
        self.rows: dict[type[models.Model], models.Model] = {}
        for model in all_models():
            self.row(model)
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        StatFrontier.objects.update_or_create(pk=StatFrontier.ONLY, defaults={"folded_until": midnight})

    def row(self, model: type[models.Model]) -> models.Model:
        """Return the row of a model, made where it is not there yet."""
        if model not in self.rows:
            if issubclass(model, User):
                row: models.Model = User(pk=self.key, username=self.mark, email=f"{self.mark}@zq.example", is_staff=True)
            else:
                row = model(**self._values(model))
            if isinstance(row, Merchant | Integration):
                row.save()
            else:
                model._base_manager.bulk_create([row])  # no signals: what a row sets off is not wanted here
            self.rows[model] = row
        return self.rows[model]

    def _values(self, model: type[models.Model]) -> dict[str, Any]:
        """Return a value for every column that can hold one."""
        found = {}
        for field in model._meta.concrete_fields:
            if field.name in self._own(model):
                found[field.name] = self._own(model)[field.name]
            elif isinstance(field, models.ForeignKey):
                if field.related_model is not model:
                    found[field.name] = self.row(field.related_model)
            elif field.primary_key:
                if isinstance(field, models.UUIDField) or not field.has_default():
                    found[field.name] = self.uuid if isinstance(field, models.UUIDField) else self.key
            elif (value := self._value(field)) is not None:
                found[field.name] = value
        return found

    def _value(self, field: models.Field) -> Any:
        """Return a value for a column, None to leave it as it is."""
        if field.choices:
            return None if field.has_default() else field.flatchoices[0][0]
        if isinstance(field, models.EmailField):
            return f"{self.mark}@zq.example"
        if isinstance(field, models.URLField):
            return f"https://{self.mark}.example/"
        if isinstance(field, models.CharField | models.TextField) and not field.has_default():
            return f"{self.mark}-{field.name}"[: field.max_length]
        if isinstance(field, models.BinaryField):
            return None if field.null else self.mark.encode()
        if isinstance(field, models.JSONField):
            return None if field.null else {"note": self.mark}
        if field.has_default() or field.null:
            return None
        if isinstance(field, models.DateTimeField):
            return timezone.now()
        if isinstance(field, models.DateField):
            return timezone.now().date()
        return self.key if field.unique else uuid.uuid4() if isinstance(field, models.UUIDField) else 7

    def _own(self, model: type[models.Model]) -> dict[str, Any]:
        """Return what a model's row must be like for its pages to open."""
        mark, yesterday = self.mark, timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
        person = {"customer_id": f"{mark}-id", "email": f"{mark}@zq.example", "phone": "", "name": f"{mark} name"}
        own: dict[str, dict[str, Any]] = {
            "integrations.Merchant": {"currency": "USD", "coin_name": f"{mark}coins", "slug": mark},
            "integrations.Integration": {
                "provider": "clevertap",
                "settings": {"account_id": f"{mark}-account", "server_prefix": "in1"},
                "status": Status.ACTIVE,
                "enabled": True,
                "initialized_at": timezone.now(),
            },
            "events.EventDefinition": {**EVENT, "tiers": ""},
            "events.EventDelivery": {**EVENT, "status": "failed", "recipient": person, "payload": {"coins": 5, "title": mark}},
            "events.BulkAction": {"what": "retry", "filter": {}},
            "events.StatBucket": {"starts_at": yesterday, "figure": "sent", "kept": self.sum, "reason": ""},
            "events.StatTotal": {"scope": self.key, "starts_at": yesterday, "figure": "sent", "kept": self.sum},
            "loyalty.Order": {"currency": "USD"},
        }
        found = own.get(model._meta.label, {})
        names = {field.name for field in model._meta.concrete_fields}
        return found | ({"customer_ref": str(self.key)} if "customer_ref" in names else {})

    def staff(self, username: str, **roles: str) -> Client:
        """Return a browser of somebody with these roles at merchants, by their marks.

        They hold every model permission there is: an admin that forgot its scope must not be saved by a forgotten right.
        """
        user = User.objects.create_user(username, is_staff=True)
        user.user_permissions.set(Permission.objects.all())
        for mark, role in roles.items():
            Membership.objects.create(merchant=Merchant.objects.get(slug=mark), user=user, role=role)
        client = Client(raise_request_exception=False)
        client.force_login(user)
        return client

    def fingerprint(self) -> dict[str, list[dict[str, str]]]:
        """Return every row that is this merchant's or points to one that is, the admin's own history included."""
        found = {}
        for model in [*all_models(), apps.get_model("admin", "LogEntry"), User]:
            rows = model._base_manager.filter(self._mine(model)).order_by("pk")
            rows = (rows.exclude(act__in=LOOKING) if model is AuditEntry else rows).values()
            shown = [{name: str(value) for name, value in row.items()} for row in rows]
            if shown:
                found[model._meta.label] = shown
        return found

    def _mine(self, model: type[models.Model]) -> models.Q:
        """Return the condition of rows with this merchant's keys in any column that holds keys."""
        wanted = models.Q(pk=self.uuid if isinstance(model._meta.pk, models.UUIDField) else self.key)
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey):
                is_uuid = isinstance(field.target_field, models.UUIDField)
                wanted |= models.Q(**{field.attname: self.uuid if is_uuid else self.key})
            elif field.name in ("customer_ref", "object_id"):
                wanted |= models.Q(**{f"{field.name}__in": [str(self.key), str(self.uuid), self.uuid.hex]})
        return wanted


def all_models() -> list[type[models.Model]]:
    """Return every model of ours that holds rows of merchants: all but those that are known not to."""
    found = [model for label in OURS for model in apps.get_app_config(label).get_models()]
    return [model for model in found if model.__name__ not in NOBODYS]
