"""The project's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from nectorbridge import health, metrics, queue_health
from nectorbridge.second_factor import pages

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    *queue_health.urlpatterns,
    *pages.urlpatterns,
    path("admin/", admin.site.urls),
    *health.urlpatterns,
    *metrics.urlpatterns,
    path("", include("events.urls")),
    path("", include("nectorbridge.loyalty.urls")),
]
