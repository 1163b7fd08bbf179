"""The project's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from nectorbridge import health, icon, metrics, queue_health
from nectorbridge.second_factor import pages


def not_found(request: HttpRequest, **_kwargs: str) -> HttpResponse:
    """Answer that nothing is there."""
    raise Http404


urlpatterns = [
    path("", include("events.urls")),  # what customers and providers wait for comes first
    path("", include("nectorbridge.loyalty.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    *queue_health.urlpatterns,
    *pages.urlpatterns,
    path("admin/r/<path:anything>", not_found),  # Django's “view on site”: no row has a page there, and it tells which exist
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),  # takes the chosen language
    *health.urlpatterns,
    *metrics.urlpatterns,
    *icon.urlpatterns,
]
