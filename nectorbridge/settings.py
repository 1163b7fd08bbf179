"""Settings, read from the environment (or a `.env` file). With none of it set, everything runs on SQLite in `var/`."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from nectorbridge.look import UNFOLD  # noqa: F401 - read by django-unfold
from nectorbridge.reading import host_of, local_key, mail, number, numbers, one_of, optional_numbers, required

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
env.read_env(BASE_DIR / ".env")
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var")))

# --- Is this a laptop or a production machine? -----------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=not env.str("DATABASE_URL", "") and not env.str("SECRET_KEY", ""))
SECRET_KEY = env.str("SECRET_KEY", default="")
FERNET_KEYS = env.list("FERNET_KEYS", default=[])
# They sign tracked links: the first signs, all are accepted. Empty: FERNET_KEYS do, which may then not be retired earlier.
TRACKING_KEYS = env.list("TRACKING_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
LOG_FORMAT = one_of("LOG_FORMAT", ("text", "json"), default="text" if DEBUG else "json")
LOG_LEVEL = one_of("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="INFO")
if DEBUG:
    SECRET_KEY = SECRET_KEY or local_key(DATA_DIR, "secret_key")
    FERNET_KEYS = FERNET_KEYS or [local_key(DATA_DIR, "fernet_key")]
    ALLOWED_HOSTS = ALLOWED_HOSTS or ["127.0.0.1", "localhost", "[::1]"]
else:
    required(SECRET_KEY, "SECRET_KEY", "a random text of 50 characters or more")
    required(FERNET_KEYS, "FERNET_KEYS", "another random text of 32 characters or more (it encrypts the provider keys)")
    required(ALLOWED_HOSTS, "ALLOWED_HOSTS", "bridge.example.com")

# --- Applications ----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_q",
    "axes",
    "integrations",
    "events",
    "nectorbridge.loyalty",
    "nectorbridge",
]
MIDDLEWARE = [
    "nectorbridge.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "nectorbridge.second_factor.gate.SecondFactorMiddleware",
    "integrations.audit.remember_request",
    "integrations.switcher.WithinMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "nectorbridge.urls"
WSGI_APPLICATION = "nectorbridge.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- Database: SQLite on one machine, PostgreSQL on several ----------------------------------------------------------
# IMMEDIATE is what keeps SQLite from answering "database is locked": every transaction takes the write lock at once.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA cache_size=-20000;"
    "PRAGMA mmap_size=134217728;PRAGMA temp_store=MEMORY;PRAGMA journal_size_limit=67108864;",
}


def _database() -> dict[str, Any]:
    """Return the default database from DATABASE_URL, with the settings that survived trials."""
    url = env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'nectorbridge.sqlite3'}"
    if url.partition("://")[0] not in ("sqlite", "postgres", "postgresql"):
        raise ImproperlyConfigured("DATABASE_URL cannot be read; write postgres://user:password@host:5432/name")
    try:
        database = env.db_url_config(url)
    except ValueError:  # its text may hold a part of the password
        raise ImproperlyConfigured("DATABASE_URL cannot be read; characters such as / in a password are written %2F") from None
    database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    if database["ENGINE"].endswith("sqlite3"):
        database["OPTIONS"] = SQLITE_OPTIONS
        # A file, not memory: the tests' threads and processes must meet the same locks as in production.
        database["TEST"] = {"NAME": str(DATA_DIR / f"test-{os.getpid()}.sqlite3")}
    else:
        # What runs at every wallet change is planned once a connection, from its third time on. `?prepare_threshold=off` for a
        # pooler that hands connections around between transactions and knows nothing of prepared statements.
        options = {"prepare_threshold": "2"} | database.get("OPTIONS", {})
        wanted = str(options["prepare_threshold"])
        options["prepare_threshold"] = int(wanted) if wanted.isdigit() else None
        database["OPTIONS"] = options
    return database


DATABASES = {"default": _database()}

# --- Cache and task cluster: Redis where there is one ----------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    # Nobody waits for a cache that is away: what is in it may be lost.
    REDIS_PATIENCE = {"socket_timeout": 1, "socket_connect_timeout": 1}
    REDIS_CACHE = "django.core.cache.backends.redis.RedisCache"
    CACHES: dict[str, Any] = {"default": {"BACKEND": REDIS_CACHE, "LOCATION": REDIS_URL, "OPTIONS": REDIS_PATIENCE}}
else:
    LOCAL_CACHE = "django.core.cache.backends.locmem.LocMemCache"
    CACHES = {"default": {"BACKEND": LOCAL_CACHE, "OPTIONS": {"MAX_ENTRIES": 50_000}}}

NECTORBRIDGE_HOST = "nectorbridge.loyalty.host.LoyaltyHost"  # who answers for customers and wallets (see events.host)

# --- Mail: who must act is told once (see events.notices); without EMAIL_URL nobody is ---------------------------------
globals().update(mail(env.str("EMAIL_URL", default="")))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"Nectorbridge <nectorbridge@{host_of(PUBLIC_URL)}>")
EMAIL_TIMEOUT = 10

# --- Delivery: where no default is named, it is that of events.conf or integrations.conf -----------------------------
DELIVERY_LEASE_SECONDS = number("DELIVERY_LEASE_SECONDS")
DELIVERY_SWEEP_SECONDS = number("DELIVERY_SWEEP_SECONDS")
DELIVERY_RETRY_STEPS = numbers("DELIVERY_RETRY_STEPS")  # seconds before each further try; the first is immediate
DELIVERY_UNCERTAIN_RESENDS = int(number("DELIVERY_UNCERTAIN_RESENDS"))
DELIVERY_ORDER_HOLD_SECONDS = number("DELIVERY_ORDER_HOLD_SECONDS")
DELIVERY_HTTP_TIMEOUT_SECONDS = number("DELIVERY_HTTP_TIMEOUT_SECONDS")
DELIVERY_WORKERS = int(number("DELIVERY_WORKERS", "4"))
# Processes that stand in for those that wait for a silent provider. Not for one or two workers: there memory is short.
DELIVERY_SPARE_WORKERS = int(number("DELIVERY_SPARE_WORKERS", "1" if DELIVERY_WORKERS > 2 else "0"))
WORKER_PROCESSES = DELIVERY_WORKERS + DELIVERY_SPARE_WORKERS
# How many workers one integration may have at a time, on all machines together.
DELIVERY_WORKERS_PER_INTEGRATION = int(number("DELIVERY_WORKERS_PER_INTEGRATION", str(max(1, DELIVERY_WORKERS // 2))))
# Calls in a row without an answer that open an integration's breaker, and the seconds until it is looked whether one comes.
DELIVERY_BREAKER_FAILURES = int(number("DELIVERY_BREAKER_FAILURES"))
DELIVERY_BREAKER_STEPS = optional_numbers("DELIVERY_BREAKER_STEPS")  # none: those of the retries, up to five minutes
# Changed profiles are looked for, and pushed together, once in so many seconds.
PROFILE_SYNC_SECONDS = number("PROFILE_SYNC_SECONDS")
# The largest file of customers and coins that can be imported at once.
IMPORT_MAX_MEGABYTES = number("IMPORT_MAX_MEGABYTES", "20")
# Requests a minute to one tracked link, callback address or webhook address; more are answered 429. 0: as many as come.
PUBLIC_REQUESTS_PER_MINUTE = int(number("PUBLIC_REQUESTS_PER_MINUTE"))
# --- Retention: days from recording on; 0 keeps for ever (see events.retention) --------------------------------------
RETENTION_PAYLOAD_DAYS = number("RETENTION_PAYLOAD_DAYS")
RETENTION_ATTEMPT_DAYS = number("RETENTION_ATTEMPT_DAYS")
RETENTION_DELIVERY_DAYS = number("RETENTION_DELIVERY_DAYS")
RETENTION_AUDIT_DAYS = number("RETENTION_AUDIT_DAYS")  # the audit trail; never less than 30
RETENTION_INVITATION_DAYS = number("RETENTION_INVITATION_DAYS")  # from being accepted, or expiring
RETENTION_TASK_DAYS = number("RETENTION_TASK_DAYS")  # django-q2's own rows
# Replaces scheme and host (and any region prefix) of every call to a provider; used for sandboxes.
PROVIDER_BASE_URLS = {
    slug: env.str(f"{slug.upper()}_BASE_URL", default="").rstrip("/")
    for slug in sorted(path.stem for path in (BASE_DIR / "integrations" / "contracts").glob("*.json"))
}

Q_CLUSTER: dict[str, Any] = {
    "name": "nectorbridge",
    "workers": DELIVERY_WORKERS,
    "queue_limit": DELIVERY_WORKERS,  # `retry` counts from the prefetch, so little is prefetched
    "bulk": 1,
    "timeout": 120,
    "retry": 300,  # more than timeout * (1 + queue_limit / workers) + 5
    "ack_failures": True,
    "max_attempts": 3,  # retries of events belong to the outbox, not to the queue
    "catch_up": False,
    "poll": 0.2,
    "guard_cycle": 0.5,
    "save_limit": 100,
    "recycle": 500,
    "max_rss": 300_000,  # kilobytes
    "log_level": "DEBUG" if LOG_LEVEL == "DEBUG" else "WARNING",
    "label": _("Background jobs"),
} | ({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"})

# --- Language, time, static files ------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("hi", "हिंदी")]  # by their own names; each but the first has catalogs, see manage.py messages
LOCALE_PATHS = [BASE_DIR / "nectorbridge" / "locale"]
# Who chose a language finds it again at the next log-in, on this browser.
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_SAMESITE = True, "Lax"
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True
FORMAT_MODULE_PATH = ["nectorbridge.formats"]
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Security: strict unless this is a laptop ------------------------------------------------------------------------
# Behind a TLS proxy that sets X-Forwarded-Proto; SECURE_SSL_REDIRECT=false where the proxy redirects by itself.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not DEBUG
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=not DEBUG)
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # not Strict: mails lead to pages of the admin
# From logging in on, however busy. A changed password ends all other sessions at once.
SESSION_COOKIE_AGE = int(number("SESSION_HOURS", "12") * 3600)
SECURE_REFERRER_POLICY = SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER = "nectorbridge.error_reports.WithheldWords"
DEFAULT_EXCEPTION_REPORTER_FILTER = "nectorbridge.error_reports.NothingInHand"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# Who fails to log in too often is locked out for a while (see nectorbridge.log_in).
TRUSTED_PROXY_COUNT = int(number("TRUSTED_PROXY_COUNT"))
LOGIN_FAILURES_PER_ADDRESS = int(number("LOGIN_FAILURES_PER_ADDRESS", "30"))
AXES_FAILURE_LIMIT = int(number("LOGIN_FAILURES", "5"))
AXES_COOLOFF_TIME = timedelta(minutes=number("LOGIN_LOCK_MINUTES", "15"))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "nectorbridge.log_in.Handler"
AXES_LOCKOUT_CALLABLE = "nectorbridge.log_in.locked_out"
AXES_CLIENT_IP_CALLABLE = "nectorbridge.log_in.address_for_axes"
AXES_RESET_ON_SUCCESS = AXES_DISABLE_ACCESS_LOG = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = AXES_ENABLE_ADMIN = AXES_VERBOSE = False
AUTHENTICATION_BACKENDS = [
    "nectorbridge.log_in.Backend",
    "django.contrib.auth.backends.ModelBackend",
    "integrations.roles.RoleBackend",
]

# Nobody else can require it of administrators who belong to no merchant (see nectorbridge.second_factor).
SECOND_FACTOR_FOR_ADMINISTRATORS = env.bool("SECOND_FACTOR_FOR_ADMINISTRATORS", default=False)

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# --- Logs: lines of JSON for machines, text on a laptop; in neither anything of a person (see nectorbridge.logs) -----------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "nectorbridge.logs.TextFormatter"},
        "json": {"()": "nectorbridge.logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "loggers": {
        # Once, in our format. Never at DEBUG: there it tells every statement with its values, and what a template looked for.
        "django": {"handlers": [], "level": "INFO" if LOG_LEVEL == "DEBUG" else LOG_LEVEL},
        "django.server": {"handlers": [], "propagate": True},
        "axes": {"level": "WARNING"},
        "django-q": {"level": Q_CLUSTER["log_level"]},
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}
