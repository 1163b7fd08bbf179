"""The settings of a host of its own: the reusable apps alone, without the loyalty room and without the project's pages."""

from __future__ import annotations

from nectorbridge.settings import *  # noqa: F403 - the same settings, but for what is taken away
from nectorbridge.settings import AUTHENTICATION_BACKENDS as ALL_BACKENDS
from nectorbridge.settings import DATABASES
from nectorbridge.settings import INSTALLED_APPS as ALL_APPS
from nectorbridge.settings import MIDDLEWARE as ALL_MIDDLEWARE

INSTALLED_APPS = [app for app in ALL_APPS if app not in ("nectorbridge.loyalty", "nectorbridge")]
MIDDLEWARE = [name for name in ALL_MIDDLEWARE if not name.startswith("nectorbridge.")]
AUTHENTICATION_BACKENDS = [name for name in ALL_BACKENDS if not name.startswith("nectorbridge.")]
ROOT_URLCONF = "nectorbridge.testing.without_loyalty_urls"
UNFOLD: dict[str, object] = {}
NECTORBRIDGE_HOST = ""
if "postgresql" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["TEST"] = {"NAME": "test_without_loyalty"}  # beside the whole project's
