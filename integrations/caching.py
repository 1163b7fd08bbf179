"""The cache, which may be lost at any time: whatever it keeps is a help, and nothing fails where it is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


def tried(what: str, ask: Callable[..., Answer], *values: object) -> Answer | None:
    """Return what the cache answers; None, with a line in the log that says `what` does not work, where it fails."""
    try:
        return ask(*values)
    except Exception as error:  # a cache's own; there is no common class of them
        logger.warning("%s: the cache failed (%s).", what, type(error).__name__)
        return None
