"""The ledger's public address: the door for Nector's webhooks."""

from __future__ import annotations

from django.urls import path

from nectorbridge.loyalty.nector import door

app_name = "loyalty"
urlpatterns = [path("webhooks/nector/<str:token>/", door.webhook, name="nector_webhook")]
