"""Pages of the list of deliveries by their ids instead of numbers: the thousandth page costs what the first one does.

A page is gathered from a few short walks (`events.admin.walks`). Nothing is skipped over, and nothing is counted beyond
ten thousand.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cached_property

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format

from events.admin import base
from events.admin.walks import WalkingChangeList
from events.models import EventDelivery

BEFORE, AFTER = "before", "after"
FILTERED_LIMIT = 1000  # to count filtered rows, they must be looked at; without a filter an index is enough


class KeysetPaginator(Paginator):
    """What the foot of the list shows. Only the first page counts, and no further than the limit."""

    template_name = "events/pagination.html"
    is_keyset = True
    newest = newer = older = ""  # addresses
    known: int | None = None
    limit = base.COUNT_LIMIT

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, or are on this page, where nobody counted."""
        return self.known if self.known is not None else len(self.object_list)

    @property
    def more_than(self) -> str:
        """Return the limit, as people write it, where there is more; otherwise an empty text."""
        return number_format(self.limit, force_grouping=True) if self.count > self.limit else ""


class KeysetChangeList(WalkingChangeList):
    """The list of deliveries, newest first; `p=before-<id>` and `p=after-<id>` are its pages."""

    def get_results(self, request: HttpRequest) -> None:
        """Find the page's rows. An address that names no page shows the first one."""
        direction, key = self._place(request.GET.get(PAGE_VAR, ""))
        walks = list(self._walks(request))
        keys = self._keys(walks, direction, key)
        more, keys = len(keys) > self.list_per_page, keys[: self.list_per_page]
        if direction == AFTER:
            keys.reverse()
        rows = self.apply_select_related(self.root_queryset.filter(pk__in=keys)).order_by("-id")
        self.result_list = list(rows) if keys else []
        paginator = KeysetPaginator(self.result_list, self.list_per_page)
        if key is None:
            paginator.limit = FILTERED_LIMIT if self.has_active_filters or self.query else base.COUNT_LIMIT
            paginator.known = self._count(walks, paginator.limit) if more else len(keys)
        has_newer, has_older = (more, True) if direction == AFTER else (key is not None, more)
        if keys and has_newer:
            paginator.newest = self.get_query_string({PAGE_VAR: None})
            paginator.newer = self.get_query_string({PAGE_VAR: f"{AFTER}-{keys[0].hex}"})
        if keys and has_older:
            paginator.older = self.get_query_string({PAGE_VAR: f"{BEFORE}-{keys[-1].hex}"})
        if key is not None and not keys:
            paginator.newest = self.get_query_string({PAGE_VAR: None})
        self.paginator, self.result_count = paginator, paginator.count
        self.full_result_count, self.show_full_result_count = None, False
        self.show_admin_actions, self.can_show_all, self.multi_page = True, False, False

    @staticmethod
    def _place(text: str) -> tuple[str, uuid.UUID | None]:
        """Return on which side of which id the page is."""
        direction, _dash, key = text.partition("-")
        try:
            return (direction, uuid.UUID(key)) if direction in (BEFORE, AFTER) else (BEFORE, None)
        except ValueError:
            return BEFORE, None

    def _keys(self, walks: Sequence[QuerySet[EventDelivery]], direction: str, key: uuid.UUID | None) -> list[uuid.UUID]:
        """Return the page's ids and one more, from the side of the neighbouring page on."""
        found: set[uuid.UUID] = set()
        for walk in walks:
            if key is not None:
                walk = walk.filter(id__gt=key) if direction == AFTER else walk.filter(id__lt=key)
            walk = walk.order_by("id" if direction == AFTER else "-id")
            found.update(walk.values_list("pk", flat=True)[: self.list_per_page + 1])
        return sorted(found, reverse=direction != AFTER)[: self.list_per_page + 1]

    def _count(self, walks: Sequence[QuerySet[EventDelivery]], limit: int) -> int:
        """Return the number of rows; one more than the limit stands for "more"."""
        number = 0
        for walk in walks:
            if number <= limit:
                number += walk.order_by("-id")[: limit + 1 - number].count()
        return number
