"""The addresses of a host that has the reusable apps alone."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("events.urls"))]
