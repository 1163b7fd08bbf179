"""The shop's addresses: the admin, and what links, pixels and providers' callbacks reach."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("events.urls"))]
