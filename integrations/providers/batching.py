"""Packing records into as few calls as a contract allows, each customer's records next to each other and in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from integrations.providers.base import Limits, Record

ENVELOPE_BYTES = 64  # what surrounds the records in a body
SEPARATOR_BYTES = 1

Part = tuple[str, Record]


@dataclass
class Batch:
    """The records of one call under construction, as JSON texts."""

    parts: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    size: int = ENVELOPE_BYTES

    def add(self, text: str, record: Record, size: int) -> None:
        """Append one record of `size` bytes."""
        self.parts.append(text)
        self.records.append(record)
        self.size += size

    def fits(self, records: int, size: int, limits: Limits) -> bool:
        """Tell whether that many more records and bytes stay within the contract."""
        return len(self.records) + records <= limits.records_per_call and self.size + size <= limits.bytes_per_call


def batches(groups: Iterable[list[Part]], limits: Limits) -> Iterator[Batch]:
    """Yield batches within the limits from groups of records, one group a customer.

    A group is never spread over two calls, since these may travel at the same time. What exceeds a whole call is left
    out: it stays claimed by nobody and goes along with the next claim, so the customer's order holds.
    """
    batch = Batch()
    for group in groups:
        sizes = [len(text.encode(errors="replace")) + SEPARATOR_BYTES for text, _record in group]
        if batch.records and not batch.fits(len(group), sum(sizes), limits):
            yield batch
            batch = Batch()
        for (text, record), size in zip(group, sizes, strict=True):
            if batch.records and not batch.fits(1, size, limits):
                break
            batch.add(text, record, size)
    if batch.records:
        yield batch
