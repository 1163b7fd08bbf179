"""The sandbox's own addresses: the page, what arrived as JSON, and the switches for faults.

A request that changes something is refused when a browser says that it comes from another site.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from nectorbridge.sandbox import page
from nectorbridge.sandbox.contract import Reply, Request, json_reply
from nectorbridge.sandbox.faults import InvalidFault, fault_from
from nectorbridge.sandbox.providers import PROVIDERS

if TYPE_CHECKING:
    from nectorbridge.sandbox.sandbox import Sandbox

FORM = "application/x-www-form-urlencoded"
ARRIVED_DEFAULT, ARRIVED_MAX = 100, 10_000
RATE_MAX = 1_000_000
PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NUMBERS = ("status", "every", "code", "size_bytes", "times")

Route = Callable[["Sandbox", Request], Reply]


def answer(sandbox: Sandbox, request: Request) -> Reply:
    """Answer a request to one of the sandbox's own addresses."""
    methods = ROUTES.get(request.path)
    if methods is None:
        return _error(404, f"Nothing here. Providers: {', '.join('/' + slug for slug in PROVIDERS)}")
    route = methods.get("GET" if request.method == "HEAD" else request.method)
    if route is None:
        return json_reply(405, {"error": "Method not allowed"}, {"Allow": ", ".join(methods)})
    if route not in READING and not _is_same_site(request):
        return _error(403, "Another site may not change the sandbox")
    return route(sandbox, request)


def _error(status: int, text: str) -> Reply:
    """Return a refusal with one sentence."""
    return json_reply(status, {"error": text})


def _is_same_site(request: Request) -> bool:
    """Return whether the request comes from the page itself, or from no browser at all."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _is_form(request: Request) -> bool:
    """Return whether a form on the page was sent."""
    return request.headers.get("content-type", "").partition(";")[0].strip() == FORM


def _done(request: Request, data: Any) -> Reply:
    """Return to the page after a form; answer a program in JSON."""
    return Reply(303, headers={"Location": "/"}) if _is_form(request) else json_reply(200, data)


def _page(sandbox: Sandbox, request: Request) -> Reply:
    """Return the page."""
    live = request.query.get("refresh") != "off"
    return Reply(200, page.render(sandbox, live).encode(errors="replace"), PAGE_HEADERS)


def _summary(sandbox: Sandbox, request: Request) -> Reply:
    """Return the counters."""
    return json_reply(200, sandbox.summary())


def _arrived(sandbox: Sandbox, request: Request) -> Reply:
    """Return the newest records of a provider, oldest first, or those of one delivery; refused ones on request."""
    provider, delivery = request.query.get("provider", ""), request.query.get("delivery", "")
    limit = request.query.get("limit", str(ARRIVED_DEFAULT))
    if provider not in PROVIDERS:
        return _error(400, f"provider must be one of {', '.join(PROVIDERS)}")
    if not limit.isascii() or not limit.isdigit() or not 0 < int(limit) <= ARRIVED_MAX:
        return _error(400, f"limit must be a whole number from 1 to {ARRIVED_MAX}")
    store = sandbox.stores[provider]
    found = list(store.arrived(delivery))[-int(limit) :] if delivery else store.newest(int(limit))[::-1]
    if request.query.get("refused") != "1":
        found = [record for record in found if record.is_accepted]
    data = {"provider": provider, "records": [record.as_dict() for record in found]}
    return json_reply(200, data | ({"delivery": delivery, "times": store.times(delivery)} if delivery else {}))


def _faults(sandbox: Sandbox, request: Request) -> Reply:
    """Return the active faults."""
    return json_reply(200, {"faults": [fault.as_dict() for fault in sandbox.faults.active()]})


def _add_fault(sandbox: Sandbox, request: Request) -> Reply:
    """Activate a fault, from JSON or from the form."""
    try:
        data = _from_form(_form(request)) if _is_form(request) else json.loads(request.body)
        fault = sandbox.faults.add(fault_from(data, PROVIDERS))
    except InvalidFault as error:
        return _error(400, str(error))
    except (ValueError, RecursionError):
        return _error(400, "a fault is a JSON object")
    return _done(request, {"fault": fault.as_dict()})


def _clear_faults(sandbox: Sandbox, request: Request) -> Reply:
    """End all faults, those of `provider`, or the one of that `id`."""
    asked = _form(request) if _is_form(request) else request.query
    number = asked.get("id", "0")
    if not number.isascii() or not number.isdigit():
        return _error(400, "id must be a whole number")
    return _done(request, {"cleared": sandbox.faults.clear(asked.get("provider", ""), int(number))})


def _reset(sandbox: Sandbox, request: Request) -> Reply:
    """Forget everything."""
    sandbox.reset()
    return _done(request, {"reset": True})


def _discard(sandbox: Sandbox, request: Request) -> Reply:
    """Treat the event names of a JSON list as discarded in the dashboard."""
    try:
        names = json.loads(request.body)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return _error(400, "a JSON list of event names is needed")
    sandbox.discard(*names)
    return json_reply(200, {"discarded": sorted(sandbox.policy.discarded)})


def _rates(sandbox: Sandbox, request: Request) -> Reply:
    """Take the calls a second of each provider of a JSON object; 0: any."""
    try:
        rates = json.loads(request.body)
    except (ValueError, RecursionError):
        rates = None
    if not isinstance(rates, dict) or not all(slug in PROVIDERS and _is_rate(rate) for slug, rate in rates.items()):
        return _error(400, "a JSON object of providers and their calls a second is needed")
    for slug, rate in rates.items():
        sandbox.limit(slug, rate)
    return json_reply(200, {"rates": dict(sandbox.policy.rates)})


def _is_rate(rate: Any) -> bool:
    """Tell whether this is a number of calls a second."""
    return isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate < RATE_MAX


def _members(sandbox: Sandbox, request: Request) -> Reply:
    """Return who is on a list at Mailmodo, and how each was added."""
    found = sandbox.members(request.query.get("list", ""))
    members = [{"email": member.email, "how": member.how, "data": dict(member.data)} for member in found.values()]
    return json_reply(200, {"members": members})


def _form(request: Request) -> dict[str, str]:
    """Return the filled-in fields of a form."""
    return {name: value.strip() for name, value in parse_qsl(request.body.decode(errors="replace"))}


def _from_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return a form's fields as a fault's. Raises InvalidFault for a number that is none."""
    data: dict[str, Any] = {name: value for name, value in form.items() if value and name != "retry_after"}
    try:
        data |= {name: int(data[name]) for name in NUMBERS if name in data}
        data |= {"seconds": float(data["seconds"])} if "seconds" in data else {}
    except ValueError:
        raise InvalidFault("a number is needed") from None
    if form.get("retry_after"):
        data["headers"] = {"Retry-After": form["retry_after"]}
    return data


ROUTES: dict[str, dict[str, Route]] = {
    "/": {"GET": _page},
    "/_sandbox/summary.json": {"GET": _summary},
    "/_sandbox/arrived.json": {"GET": _arrived},
    "/_sandbox/faults": {"GET": _faults, "POST": _add_fault, "DELETE": _clear_faults},
    "/_sandbox/faults/clear": {"POST": _clear_faults},
    "/_sandbox/discarded": {"POST": _discard},
    "/_sandbox/rates": {"POST": _rates},
    "/_sandbox/members.json": {"GET": _members},
    "/_sandbox/reset": {"POST": _reset},
}
READING = (_page, _summary, _arrived, _faults, _members)
