"""The project's settings in a throw-away installation: its tasks and cache entries bear a name of their own in Redis."""

from __future__ import annotations

from nectorbridge.settings import *  # noqa: F403 - the same settings are what is measured
from nectorbridge.settings import CACHES, DATA_DIR, Q_CLUSTER, STORAGES

Q_CLUSTER["name"] = DATA_DIR.name
CACHES["default"]["KEY_PREFIX"] = DATA_DIR.name
# Pages are rendered in their own process, without a server: nothing has collected their static files.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
