"""The outbox's public addresses. A host project includes them at its root."""

from __future__ import annotations

from django.urls import path

from events import callback_door, views

app_name = "events"
urlpatterns = [
    path("t/c/<str:token>", views.click, name="click"),
    path("t/o/<str:token>.gif", views.pixel, name="pixel"),
    path("callbacks/<str:provider>/<str:token>/", callback_door.callback, name="callback"),
    path("callbacks/<str:provider>/<str:token>/<str:kind>/", callback_door.callback, name="callback_kind"),
]
