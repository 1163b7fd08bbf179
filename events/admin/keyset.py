"""Pages of the list of deliveries by their ids instead of numbers: the thousandth page costs what the first one does.

A page is gathered from a few short walks, one for each group of states and each merchant, every one along a partial
index (docs/scale.md has the plans). Nothing is skipped over, and nothing is counted beyond ten thousand.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from events.admin import base
from events.admin.base import CHOSEN
from events.lookups import GROUPS, in_state, in_states, with_reason, within
from events.models import EventDelivery
from events.states import FINAL_STATES, State
from integrations.models import Integration, Merchant
from integrations.scope import merchant_keys

BEFORE, AFTER = "before", "after"
STATUS, REASON, TEST = "status__exact", "reason__exact", "is_test__exact"
FILTERED_LIMIT = 1000  # to count filtered rows, they must be looked at; without a filter an index is enough
MOST_WALKS = 12  # merchants that are walked one by one; of more, the database finds its own way
MOST_INTEGRATIONS = 500
MOST_FOUND = 20_000  # deliveries of one customer
DEFINITION, CUSTOMER = "definition__id__exact", "customer_ref__exact"
NARROW = (CHOSEN, DEFINITION)  # filters with an index of their own, which does not begin with the merchant


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
        return f"{self.limit:,}" if self.count > self.limit else ""


class KeysetChangeList(ChangeList):
    """The list of deliveries, newest first; `p=before-<id>` and `p=after-<id>` are its pages."""

    query: str
    filter_specs: list[Any]
    has_filters: bool
    has_active_filters: bool
    root_queryset: QuerySet[EventDelivery]
    _own: list[int] | None = None

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

    def _asked(self, name: str) -> list[str]:
        """Return what a filter was set to; nothing, where it was not set."""
        return [value for value in self.filter_params.get(name, []) if value]

    def _keys_asked(self, name: str) -> list[int]:
        """Return the keys that a filter was set to, without what is none."""
        return [int(value) for value in self._asked(name) if value.isdecimal() and len(value) < 19]

    def _walks(self, request: HttpRequest) -> Iterator[QuerySet[EventDelivery]]:
        """Yield the rows in parts that do not overlap, each with an index that has them in order.

        Each part says once what it is about: a planner takes every further condition for one more that few rows fulfil.
        """
        chosen, all_rows = self._asked(STATUS), EventDelivery.objects.all()
        if self.query:
            mine = all_rows if self._is_root(request) else within(all_rows, merchant_keys(request.user))
            rows = self._without_state_and_search(request, mine)
            arms = self.model_admin.search_arms(self.query)
            yield rows.filter(
                pk__in=self._found(part for arm in arms for part in self._by_state(rows.filter(arm), chosen, request))
            )
            return
        is_marked = bool(self._asked(REASON)) or "1" in self._asked(TEST)
        is_narrow = not is_marked and not self._asked(CUSTOMER) and {len(self._asked(name)) for name in NARROW} in ({0, 1}, {1})
        rows = self._without_state_and_search(request, all_rows if is_narrow else self.root_queryset)
        if is_narrow and not self._integrations(request):
            return  # it is of another merchant; of an own one all rows are the user's
        if is_marked:
            rows = with_reason(rows) if self._asked(REASON) else rows
            rows = rows.filter(status__in=chosen) if chosen else rows
            yield from self._by_merchant(rows, request, is_rare=True)
        elif self._asked(CUSTOMER):
            rows = rows.filter(status__in=chosen) if chosen else rows
            rows = rows.filter(merchant__in=Merchant.objects.order_by().values("pk")) if self._is_root(request) else rows
            yield rows.filter(pk__in=self._found([rows]))
        elif not chosen and not is_narrow:
            yield from self._by_merchant(rows, request, is_rare=False)
        else:
            yield from self._by_state(rows, chosen, request)

    def _found(self, parts: Iterable[QuerySet[EventDelivery]]) -> set[uuid.UUID]:
        """Return the ids of what was searched for. Asked for in no order: then no planner walks the table by its ids."""
        found: set[uuid.UUID] = set()
        for part in parts:
            found.update(part.order_by().values_list("pk", flat=True)[:MOST_FOUND])
        return found

    @staticmethod
    def _is_root(request: HttpRequest) -> bool:
        """Tell whether the user sees every merchant's rows."""
        return bool(request.user.is_superuser)

    def _without_state_and_search(self, request: HttpRequest, root: QuerySet[EventDelivery]) -> QuerySet[EventDelivery]:
        """Return the rows of `root` that fit all filters but the one of states, whatever was searched for."""
        query, self.query, scoped, self.root_queryset = self.query, "", self.root_queryset, root
        specs, has_filters, is_active = self.filter_specs, self.has_filters, self.has_active_filters
        state = next((spec.expected_parameters() for spec in specs if STATUS in spec.expected_parameters()), None)
        rows = self.get_queryset(request, exclude_parameters=state)
        self.query, self.root_queryset = query, scoped
        self.filter_specs, self.has_filters, self.has_active_filters = specs, has_filters, is_active
        return rows.select_related(None)

    def _by_state(
        self, rows: QuerySet[EventDelivery], chosen: Sequence[str], request: HttpRequest
    ) -> Iterator[QuerySet[EventDelivery]]:
        """Yield the parts by groups of states, each of which has partial indexes of its own."""
        for group in GROUPS:
            states = [state for state in group if not chosen or state.value in chosen]
            is_whole = len(states) == len(group)
            parts = [in_states(rows, group)] if is_whole else [in_state(rows, state, group) for state in states]
            for part in parts:
                if group == FINAL_STATES:
                    is_rare = len(states) < len(group) and State.SENT not in states
                    yield from self._by_merchant(part, request, is_rare)
                else:
                    yield self._by_integration(part, request)

    def _by_merchant(
        self, rows: QuerySet[EventDelivery], request: HttpRequest, is_rare: bool
    ) -> Iterator[QuerySet[EventDelivery]]:
        """Yield the rows of one merchant after the other, with whom the indexes begin; all at once where others are at hand."""
        keys: Sequence[int] = []
        if not self.query and not any(self._asked(name) for name in NARROW):
            if not self._is_root(request):
                keys = merchant_keys(request.user)
            elif is_rare:
                keys = list(Merchant.objects.order_by().values_list("pk", flat=True)[: MOST_WALKS + 1])
        elif is_rare and self._asked(CHOSEN) and not self.query:
            chosen = base.chosen_integration(request)
            rows = rows.filter(merchant=chosen.merchant_id) if chosen else rows
        yield from (rows.filter(merchant=pk) for pk in keys) if 1 < len(keys) <= MOST_WALKS else [rows]

    def _by_integration(self, rows: QuerySet[EventDelivery], request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return what waits: few rows, found by integration."""
        keys = self._integrations(request)
        return rows if self._asked(CHOSEN) or len(keys) > MOST_INTEGRATIONS else rows.filter(integration__in=keys)

    def _integrations(self, request: HttpRequest) -> list[int]:
        """Return the user's integrations that the list is about, as far as it says so, up to one more than the most."""
        if self._own is None:
            mine = Integration.objects.order_by()
            if not self._is_root(request):
                mine = mine.filter(merchant__in=merchant_keys(request.user))
            if self._asked(CHOSEN):
                mine = mine.filter(pk__in=self._keys_asked(CHOSEN))
            if self._asked(DEFINITION):
                mine = mine.filter(definitions__in=self._keys_asked(DEFINITION))
            self._own = list(mine.values_list("pk", flat=True)[: MOST_INTEGRATIONS + 1])
        return self._own
