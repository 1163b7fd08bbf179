"""What a file would do, before it does it: how it was understood, what is wrong, how many customers and coins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from integrations.models import Merchant
from nectorbridge.loyalty.imports.people import People
from nectorbridge.loyalty.imports.reading import Record
from nectorbridge.loyalty.imports.rows import Reader, Row

ROWS_SHOWN, FAULTS_SHOWN = 20, 10


class Survey:
    """Looks at rows as they are stored. What debits find in wallets is only known once they are made."""

    def __init__(self, merchant: Merchant, now: datetime) -> None:
        """Begin to look at a file of this merchant."""
        self.merchant = merchant
        self.rows = 0
        self._reader = Reader(merchant.timezone, now)
        self._looked = self._bad = self._new = self._coins_in = self._coins_out = 0
        self._shown: list[dict[str, Any]] = []
        self._faults: list[dict[str, Any]] = []
        self._seen: set[str] = set()  # what leads to somebody whom this file would make

    def look(self, records: Sequence[Record]) -> None:
        """Look at some rows."""
        good: list[Row] = []
        for record in records:
            found = self._reader.read(record)
            if isinstance(found, Row):
                good.append(found)
                continue
            self._bad += 1
            room = FAULTS_SHOWN - len(self._faults)
            self._faults += [
                {"row": fault.number, "column": fault.column, "message": fault.message, "value": fault.value}
                for fault in found[:room]
            ]
        self._looked += len(records)
        self._count(good)

    def _count(self, rows: Sequence[Row]) -> None:
        """Count what good rows would do."""
        people = People(self.merchant, rows)
        for row in rows:
            known = people.find(row)
            leads = {
                f"{kind}:{key}" for kind, key in zip("iep", (row.customer_id, row.email.lower(), row.phone), strict=True) if key
            }
            is_new = known is None and not row.is_debit and self._seen.isdisjoint(leads)
            if known is None and not row.is_debit:
                self._seen |= leads
            self._new += is_new
            if row.is_debit:
                self._coins_out += row.amount
            else:
                self._coins_in += row.amount
            if len(self._shown) < ROWS_SHOWN:
                self._shown.append(_shown(row, is_new))

    def found(self) -> dict[str, Any]:
        """Return what was found out, as JSON."""
        return {
            "looked": self._looked,
            "bad": self._bad,
            "new": self._new,
            "coins_in": self._coins_in,
            "coins_out": self._coins_out,
            "shown": self._shown,
            "faults": self._faults,
        }


def _shown(row: Row, is_new: bool) -> dict[str, Any]:
    """Return a row as it was understood."""
    return {
        "row": row.number,
        "who": row.name or row.email or row.phone or row.customer_id,
        "email": row.email,
        "mobile": row.phone,
        "customer_id": row.customer_id,
        "is_new": is_new,
        "change": -row.amount if row.is_debit else row.amount,
        "expires_at": row.expires_at.isoformat() if row.expires_at else "",
        "reason": row.title,
    }
