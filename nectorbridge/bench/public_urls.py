"""The project's addresses and a bare view: what Django and the server cost when a view does nothing."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from nectorbridge.urls import urlpatterns as project


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    """Answer 204."""
    return HttpResponse(status=204)


urlpatterns = [path("bare/", bare), *project]
