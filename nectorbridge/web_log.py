"""The web server's own lines in the project's format: `gunicorn --logger-class nectorbridge.web_log.WebServerLog`."""

from __future__ import annotations

import os
from typing import Any

from gunicorn import glogging


class WebServerLog(glogging.Logger):
    """gunicorn's logger with our formatter; it begins before Django does."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's handlers up, and have them write what LOG_FORMAT says."""
        super().setup(cfg)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nectorbridge.settings")
        from nectorbridge.logs import formatter

        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                handler.setFormatter(formatter())
