"""What django-q2 runs for the ledger. Tasks carry ids only; a lost one loses nothing, a doubled one does nothing twice."""

from __future__ import annotations

from events.tasks import while_database_lasts
from nectorbridge.loyalty import reminders
from nectorbridge.loyalty.imports import work
from nectorbridge.loyalty.nector import inbox
from nectorbridge.loyalty.personal import erasing


def work_on_webhooks(merchant_id: int) -> int:
    """Work on the webhooks of one merchant that wait. Returns how many."""
    return while_database_lasts(inbox.work, merchant_id, inbox.WHOSE)


def remind(definition_id: int) -> int:
    """Record the reminders of one event whose moments have come. Returns how many rows were looked at."""
    return while_database_lasts(reminders.look, definition_id, "the reminders of event")


def work_on_import(run_id: int) -> int:
    """Do one turn of an import. Returns how many rows."""
    return while_database_lasts(work.work, run_id, "import")


def work_on_erasure(report_id: int) -> int:
    """Do one turn of an erasure. Returns how many parts."""
    return while_database_lasts(erasing.work, report_id, "erasure")
