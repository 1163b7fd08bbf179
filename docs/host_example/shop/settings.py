"""A shop's settings: its own, and below them what `integrations` and `events` read."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

NECTORBRIDGE_DIR = Path(__file__).resolve().parents[3]  # where the reusable apps and their templates are
DATA_DIR = Path(os.environ.get("SHOP_DATA_DIR", Path(__file__).resolve().parent.parent / "var"))
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _key(name: str) -> str:
    """Return a key from the environment. Raises ImproperlyConfigured where there is none: keys have no default."""
    if not (value := os.environ.get(name, "")):
        raise ImproperlyConfigured(f"Set {name} to a random text of 50 characters")
    return value


# --- The shop's own ----------------------------------------------------------------------------------------------------
SECRET_KEY = _key("SECRET_KEY")
DEBUG = os.environ.get("DEBUG", "") == "true"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1").split(",")
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "integrations",
    "events",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "integrations.audit.remember_request",  # who did it, for the audit trail
    "integrations.switcher.WithinMiddleware",  # which merchant somebody works in
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "integrations.roles.RoleBackend"]
ROOT_URLCONF = "shop.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [NECTORBRIDGE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        # Every transaction takes the write lock at once: without that SQLite answers "database is locked".
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATICFILES_DIRS = [NECTORBRIDGE_DIR / "nectorbridge" / "static"]
Q_CLUSTER = {"name": "shop", "workers": 2, "timeout": 120, "retry": 300, "max_attempts": 3, "poll": 0.2, "orm": "default"}

# --- What the reusable apps read, where it is not their default (events/conf.py, integrations/conf.py) ------------------------
NECTORBRIDGE_HOST = "shop.host.ShopHost"
FERNET_KEYS = _key("FERNET_KEYS").split(",")
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")
# Empty: the providers themselves. An address here has calls go to a sandbox.
PROVIDER_BASE_URLS = {"clevertap": os.environ.get("CLEVERTAP_BASE_URL", "")}
