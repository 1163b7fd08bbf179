"""The outbox's public addresses. A host project includes them at its root."""

from __future__ import annotations

from django.urls import path

from events import views

app_name = "events"
urlpatterns = [
    path("t/c/<str:token>", views.click, name="click"),
    path("t/o/<str:token>.gif", views.pixel, name="pixel"),
]
