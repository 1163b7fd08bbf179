"""What browsers are told: nothing at all on public pages, no inline script anywhere, strict cookies in production."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import reverse

from events import record
from events.tracking import token
from nectorbridge import headers
from nectorbridge.headers import ADMIN, NOTHING, HeadersMiddleware, public_policy
from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.testing import make

POLICY = "Content-Security-Policy"
PRODUCTION = """
import json
from django.conf import settings as s
print(json.dumps({name: getattr(s, name) for name in (
    "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS", "DEBUG")}))
"""


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


@pytest.mark.django_db
def test_public_addresses_allow_nothing(client, settings):
    settings.DEBUG = False
    delivery = record(make.activity(make.definition().integration.merchant))[0]
    integration = delivery.integration
    paths = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        f"/t/c/{token(delivery.pk)}",
        f"/t/o/{token(delivery.pk)}.gif",
        "/t/c/forged",
        f"/callbacks/clevertap/{integration.callback_token}/",
        f"/webhooks/nector/{integration.merchant.nector_webhook_token}/",
        "/nowhere",
    ]
    for path in paths:
        for answer in (client.get(path), client.post(path, "{}", content_type="application/json")):
            told = directives(answer[POLICY])
            assert told["default-src"] == told["base-uri"] == told["form-action"] == told["frame-ancestors"] == ["'none'"], path
            assert set(told) <= {"default-src", "base-uri", "form-action", "frame-ancestors", "style-src"}
            assert "unsafe" not in answer[POLICY] and "http" not in answer[POLICY]
            assert answer["X-Content-Type-Options"] == "nosniff" and answer["Referrer-Policy"] == "same-origin", path
            assert "geolocation=()" in answer["Permissions-Policy"]
            assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.django_db
def test_the_admin_allows_what_the_theme_needs_no_inline_script_and_no_other_server(admin_client, client):
    for answer in (admin_client.get("/admin/"), client.get("/admin/login/"), admin_client.get(reverse("queue_health"))):
        told = directives(answer[POLICY])
        assert told["script-src"] == ["'self'", "'unsafe-eval'"] and told["style-src"] == ["'self'", "'unsafe-inline'"]
        sources = {source for values in told.values() for source in values}
        assert sources == {"'none'", "'self'", "'unsafe-eval'", "'unsafe-inline'", "data:"}
        assert answer["X-Frame-Options"] == "DENY"


def test_the_one_style_of_error_pages_is_allowed_by_its_hash_as_rendered():
    for name in ("403", "403_csrf", "404", "500"):
        (style,) = re.findall(r"<style>(.*?)</style>", render_to_string(f"{name}.html"), re.DOTALL)
        assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in public_policy()


def test_no_template_of_ours_has_an_inline_script_or_handler_or_another_server():
    for path in (PROJECT_DIR / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), path
        assert not re.search(r"(?:src|<link[^>]*href)=\"(?:https?:)?//", text), path


def test_an_answer_with_a_policy_of_its_own_keeps_it_and_djangos_debug_pages_have_none(settings):
    own = HttpResponse(headers={POLICY: "sandbox"})
    assert HeadersMiddleware(lambda _request: own)(RequestFactory().get("/"))[POLICY] == "sandbox"
    broken = HeadersMiddleware(lambda _request: HttpResponse(status=500))
    settings.DEBUG = True
    assert POLICY not in broken(RequestFactory().get("/")).headers
    settings.DEBUG = False
    assert broken(RequestFactory().get("/"))[POLICY].startswith(NOTHING)
    assert broken(RequestFactory().get("/admin/x"))[POLICY] == ADMIN


def test_no_request_makes_the_policies_anew(monkeypatch):
    made, real = [], headers.public_policy
    monkeypatch.setattr(headers, "public_policy", lambda: made.append("read from the page of errors") or real())
    monkeypatch.setattr(headers, "reverse", lambda name: made.append("looked up") or reverse(name))
    middleware = HeadersMiddleware(lambda _request: HttpResponse())
    assert {middleware(RequestFactory().get(f"/t/c/{number}"))[POLICY] for number in range(50)} == {real()}
    assert made == ["read from the page of errors", "looked up"], "once, when the process begins"


def test_production_settings_are_strict():
    given = {"DEBUG": "false", "SECRET_KEY": "s" * 60, "FERNET_KEYS": "f" * 60, "ALLOWED_HOSTS": "bridge.example.com"}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", PRODUCTION]
    printed = subprocess.run(command, env=kept | given, cwd=PROJECT_DIR, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed.splitlines()[-1]) == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "DEBUG": False,
    }
