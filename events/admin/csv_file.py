"""CSV as spreadsheets take it, line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from django.http import StreamingHttpResponse

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute
BYTE_ORDER_MARK = "\ufeff"  # without it a spreadsheet takes the text for another character set


def line(values: Iterable[Any], is_ours: bool = False) -> str:
    """Return a line of CSV; of what is not our own, that which a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    texts = map(str, values)
    csv.writer(out).writerow(texts if is_ours else [f"'{text}" if text.startswith(FORMULA) else text for text in texts])
    return out.getvalue()


def download(name: str, lines: Iterable[str]) -> StreamingHttpResponse:
    """Return lines of CSV as a file of that name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)
