"""One customer's data: all of it in a file, and the forgetting of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nectorbridge.loyalty.models import Customer, ErasureReport
from nectorbridge.loyalty.personal import erasing, export
from nectorbridge.loyalty.personal.friends import erase_friend

__all__ = ["erase_customer", "erase_friend", "export_customer"]


def export_customer(customer: Customer) -> Iterator[str]:
    """Yield all that is stored about a customer as one JSON object, piece by piece: memory stays flat."""
    return export.lines(export.sections(customer))


def erase_customer(customer: Customer, by: Any = None) -> ErasureReport:
    """Forget a customer, here and in the outbox, and return the report. `by`: the user who asked.

    Safe to stop at any moment and to repeat. Raises ErasureError where a message to them is being sent at this moment. Call
    it outside of a transaction: it is many short ones.
    """
    return erasing.carry_out(erasing.start(customer, by))
