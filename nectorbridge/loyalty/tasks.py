"""What django-q2 runs for the ledger. Tasks carry ids only; a lost one loses nothing, a doubled one does nothing twice."""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError

from nectorbridge.loyalty import reminders
from nectorbridge.loyalty.imports import work
from nectorbridge.loyalty.nector import inbox

logger = logging.getLogger(__name__)


def work_on_webhooks(merchant_id: int) -> int:
    """Work on the webhooks of one merchant that wait. Returns how many."""
    try:
        return inbox.work(merchant_id)
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database went away while webhooks were worked on (%s).", type(error).__name__)
        return 0


def remind(definition_id: int) -> int:
    """Record the reminders of one event whose moments have come. Returns how many rows were looked at."""
    try:
        return reminders.look(definition_id)
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database went away while reminders were made (%s).", type(error).__name__)
        return 0


def work_on_import(run_id: int) -> int:
    """Do one turn of an import. Returns how many rows."""
    try:
        return work.work(run_id)
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database went away while an import was worked on (%s).", type(error).__name__)
        return 0
