"""Short walks that together are a list of deliveries: one for each group of states and each merchant.

Every one goes along an index that leads to few rows besides its own (docs/scale.md has the plans).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from events.admin.base import CHOSEN
from events.lookups import GROUPS, elsewhere, in_state, in_states, with_reason, within
from events.models import EventDelivery
from events.states import ELSEWHERE, FINAL_STATES, State
from integrations.models import Integration, Merchant
from integrations.roles import sees_all
from integrations.scope import merchant_keys, scoped

STATUS, REASON, TEST, PORTAL = "status__exact", "reason__exact", "is_test__exact", "portal"
MOST_WALKS = 12  # merchants that are walked one by one; of more, the database finds its own way
MOST_INTEGRATIONS = 500
MOST_FOUND = 20_000  # deliveries of one customer
DEFINITION, CUSTOMER = "definition__id__exact", "customer_ref__exact"
NARROW = (CHOSEN, DEFINITION)  # filters with an index of their own, which does not begin with the merchant


class WalkingChangeList(ChangeList):
    """A list of deliveries that knows its filters' ways through the table."""

    query: str
    filter_specs: list[Any]
    has_filters: bool
    has_active_filters: bool
    root_queryset: QuerySet[EventDelivery]
    _own: list[tuple[int, int]] | None = None

    def _asked(self, name: str) -> list[str]:
        """Return what a filter was set to; nothing, where it was not set."""
        return [value for value in self.filter_params.get(name, []) if value]

    def _keys_asked(self, name: str) -> list[int]:
        """Return the keys that a filter was set to, without what is none."""
        return [int(value) for value in self._asked(name) if value.isdecimal() and len(value) < 19]

    def _walks(self, request: HttpRequest) -> Iterator[QuerySet[EventDelivery]]:
        """Yield the user's rows in parts that do not overlap, each with an index that has them in order.

        Each part says once what it is about: a planner takes every further condition for one more that few rows fulfil.
        """
        chosen, rows = self._asked(STATUS), self._all_merchants(request)
        if self.query:
            mine = rows if sees_all(request.user) else within(rows, merchant_keys(request.user))
            arms = [mine.filter(arm) for arm in self.model_admin.search_arms(self.query)]
            yield mine.filter(pk__in=self._found(part for arm in arms for part in self._by_state(arm, chosen, request)))
        elif self._is_marked():
            rows = with_reason(rows) if self._asked(REASON) else rows
            rows = elsewhere(rows) if self._is_elsewhere() else rows
            rows = rows.filter(status__in=chosen) if chosen else rows
            yield from self._by_merchant(rows, request, is_rare=True)
        elif self._asked(CUSTOMER):
            rows = rows.filter(status__in=chosen) if chosen else rows
            yield rows.filter(pk__in=self._found([self._of_customer(request)]))
        elif not chosen and not any(self._asked(name) for name in NARROW):
            yield from self._by_merchant(rows, request, is_rare=False)
        elif not self._is_narrow() or self._integrations(request):  # of another merchant's, nothing is shown
            yield from self._by_state(self._narrowed(rows), chosen, request)

    def _narrowed(self, rows: QuerySet[EventDelivery]) -> QuerySet[EventDelivery]:
        """Return the rows of the integration and the event asked for: Django forgets a filter that has a single choice."""
        known = {name for spec in self.filter_specs for name in spec.expected_parameters()}
        for name, field in ((CHOSEN, "integration__in"), (DEFINITION, "definition__in")):
            if self._asked(name) and name not in known:
                rows = rows.filter(**{field: self._keys_asked(name)})
        return rows

    def _is_marked(self) -> bool:
        """Tell whether it is about rows with a reason, tests or other portals: few, by indexes that begin with the merchant."""
        return bool(self._asked(REASON)) or "1" in self._asked(TEST) or self._is_elsewhere()

    def _is_elsewhere(self) -> bool:
        """Tell whether it is about what did not happen online."""
        return bool(set(self._asked(PORTAL)) & set(ELSEWHERE))

    def _is_narrow(self) -> bool:
        """Tell whether an integration or an event, once it is known to be the user's, says whose rows they are."""
        return {len(self._asked(name)) for name in NARROW} in ({0, 1}, {1}) and not self._is_marked()

    def _of_customer(self, request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return the rows of the customer: of the user's merchants, with whom the index begins."""
        merchants: Any = Merchant.objects.order_by().values("pk")
        merchants = merchants if sees_all(request.user) else merchant_keys(request.user)
        return EventDelivery.objects.filter(merchant__in=merchants, customer_ref__in=self._asked(CUSTOMER))

    def _found(self, parts: Iterable[QuerySet[EventDelivery]]) -> set[uuid.UUID]:
        """Return the ids of what was searched for. Asked for in no order: then no planner walks the table by its ids."""
        found: set[uuid.UUID] = set()
        for part in parts:
            found.update(part.order_by().values_list("pk", flat=True)[:MOST_FOUND])
        return found

    def _all_merchants(self, request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return the rows that fit all filters but the one of states, whatever was searched for: each walk scopes them."""
        query, self.query, mine, self.root_queryset = self.query, "", self.root_queryset, EventDelivery.objects.all()
        specs, has_filters, is_active = self.filter_specs, self.has_filters, self.has_active_filters
        state = next((spec.expected_parameters() for spec in specs if STATUS in spec.expected_parameters()), None)
        rows = self.get_queryset(request, exclude_parameters=state)
        self.query, self.root_queryset = query, mine
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
        if self.query or (self._is_narrow() and not (is_rare and self._asked(CHOSEN))):
            yield rows
            return
        keys = self._merchants(request)
        if keys is None and is_rare:
            keys = list(Merchant.objects.order_by().values_list("pk", flat=True)[: MOST_WALKS + 1])
            keys = keys if len(keys) <= MOST_WALKS else None
        if keys is None:
            yield rows
        else:
            yield from [rows.filter(merchant=pk) for pk in keys] if len(keys) <= MOST_WALKS else [rows.filter(merchant__in=keys)]

    def _merchants(self, request: HttpRequest) -> list[int] | None:
        """Return the merchants whose rows they can be. None: anybody's."""
        if any(self._asked(name) for name in NARROW):
            return sorted({merchant for _pk, merchant in self._integrations(request)})
        return None if sees_all(request.user) else merchant_keys(request.user)

    def _by_integration(self, rows: QuerySet[EventDelivery], request: HttpRequest) -> QuerySet[EventDelivery]:
        """Return what waits: few rows, found by integration."""
        keys = self._integrations(request)
        if len(keys) > MOST_INTEGRATIONS:
            return rows if sees_all(request.user) else within(rows, merchant_keys(request.user))
        return rows.filter(integration__in=[pk for pk, _merchant in keys])

    def _integrations(self, request: HttpRequest) -> list[tuple[int, int]]:
        """Return the user's integrations that the list is about, each with its merchant, up to one more than the most."""
        if self._own is None:
            mine = scoped(Integration.objects.order_by(), request.user, "merchant")
            if self._asked(CHOSEN):
                mine = mine.filter(pk__in=self._keys_asked(CHOSEN))
            if self._asked(DEFINITION):
                mine = mine.filter(definitions__in=self._keys_asked(DEFINITION))
            self._own = list(mine.values_list("pk", "merchant")[: MOST_INTEGRATIONS + 1])
        return self._own
