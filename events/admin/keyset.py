"""Pages of the list of deliveries by their ids instead of numbers: the thousandth page costs what the first one does.

A page is gathered from a few short walks, one for each group of states and each merchant, every one along a partial
index (docs/scale.md has the plans). Nothing is skipped over, and nothing is counted beyond ten thousand.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from events.admin import base
from events.lookups import GROUPS, UNSENT_STATES, in_states, with_reason
from events.models import EventDelivery
from events.states import FINAL_STATES
from integrations.models import Integration, Merchant
from integrations.scope import merchant_keys

BEFORE, AFTER = "before", "after"
MOST_WALKS = 12  # merchants that are walked one by one; of more, the database finds its own way
MOST_INTEGRATIONS = 500
NARROW = ("integration__id__exact", "definition__id__exact", "customer_ref__exact")  # filters with an index of their own


class KeysetPaginator(Paginator):
    """What the foot of the list shows. Only the first page counts, and no further than the limit."""

    template_name = "events/pagination.html"
    is_keyset = True
    newest = newer = older = ""  # addresses
    known: int | None = None

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, or are on this page, where nobody counted."""
        return self.known if self.known is not None else len(self.object_list)

    @property
    def more_than(self) -> str:
        """Return the limit, as people write it, where there is more; otherwise an empty text."""
        return f"{base.COUNT_LIMIT:,}" if self.count > base.COUNT_LIMIT else ""


class KeysetChangeList(ChangeList):
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
            paginator.known = self._count(walks) if more else len(keys)
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
                walk = walk.filter(id__gt=key) if direction == AFTER else walk.filter(id__lt=key)  # noqa: PLW2901
            walk = walk.order_by("id" if direction == AFTER else "-id")  # noqa: PLW2901
            found.update(walk.values_list("pk", flat=True)[: self.list_per_page + 1])
        return sorted(found, reverse=direction != AFTER)[: self.list_per_page + 1]

    def _count(self, walks: Sequence[QuerySet[EventDelivery]]) -> int:
        """Return the number of rows; one more than the limit stands for "more"."""
        number = 0
        for walk in walks:
            if number <= base.COUNT_LIMIT:
                number += walk.order_by("-id")[: base.COUNT_LIMIT + 1 - number].count()
        return number

    def _walks(self, request: HttpRequest) -> Iterator[QuerySet[EventDelivery]]:
        """Yield the rows in parts that do not overlap, but for searches, each with an index that has them in order."""
        rows = self.queryset.select_related(None)
        if self.filter_params.get("reason__exact", [""])[-1]:
            rows = with_reason(rows)
        chosen = self.filter_params.get("status__exact", [])
        arms: Sequence[Any] = self.model_admin.search_arms(self.query) or [Q()]
        for group in GROUPS:
            states = [state for state in group if not chosen or state.value in chosen]
            if not states:
                continue
            parts = self._over(rows, states, request) if group == FINAL_STATES else [self._waiting(rows, group, request)]
            for part in parts:
                yield from (part.filter(arm) for arm in arms)

    def _over(self, rows: QuerySet[EventDelivery], states: Sequence[Any], request: HttpRequest) -> list[QuerySet[EventDelivery]]:
        """Return what is over, by state where that has an index, and by merchant."""
        rows = in_states(rows, FINAL_STATES)
        parts = [rows]
        if set(states) <= set(UNSENT_STATES):
            parts = [in_states(rows, UNSENT_STATES).filter(status=state) for state in states]
        merchants = self._merchants(request, bool(set(states) <= set(UNSENT_STATES)))
        return [part.filter(merchant=pk) for part in parts for pk in merchants] if merchants else parts

    def _merchants(self, request: HttpRequest, is_unsent: bool) -> Sequence[int]:
        """Return the merchants that are walked one by one: the indexes begin with them."""
        if self.query or any(name in self.filter_params for name in NARROW):
            return []
        user: Any = request.user
        is_rare = is_unsent or any(self.filter_params.get(name, [""])[-1] not in ("", "0") for name in ("reason__exact", "is_test__exact"))
        if not user.is_superuser:
            keys = merchant_keys(user)
            return keys if len(keys) <= MOST_WALKS else []
        keys = list(Merchant.objects.order_by().values_list("pk", flat=True)[: MOST_WALKS + 1]) if is_rare else []
        return keys if len(keys) <= MOST_WALKS else []

    def _waiting(self, rows: QuerySet[EventDelivery], group: Sequence[Any], request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return what waits: few rows, found by integration."""
        rows = in_states(rows, group)
        if any(name in self.filter_params for name in NARROW):
            return rows
        if not hasattr(self, "_integrations"):
            mine = Integration.objects.order_by()
            if not request.user.is_superuser:  # type: ignore[union-attr]
                mine = mine.filter(merchant__in=merchant_keys(request.user))
            self._integrations = list(mine.values_list("pk", flat=True)[: MOST_INTEGRATIONS + 1])
        return rows.filter(integration__in=self._integrations) if len(self._integrations) <= MOST_INTEGRATIONS else rows
