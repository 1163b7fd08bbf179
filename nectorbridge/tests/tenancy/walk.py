"""Visits every address of the admin, found in the URL patterns, and posts every form that its owner would find there."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, models, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter
from django.urls.resolvers import RegexPattern

from events.models import What
from nectorbridge.tests.tenancy.forms import Body, posts_on
from nectorbridge.tests.tenancy.world import World, all_models

LEFT_OUT = {"logout", "login"}  # they end or replace the session with which everything else is visited
CATCH_ALL = "(?P<url>.*)$"
# What stands for a part that is no key. No content type: “view on site” is closed, see nectorbridge.urls.
KNOWN = {"what": list(What.values), "content_type_id": [], "anything": [], "token": ["no-token-of-ours"]}
PARAMETERS = {"merchant", "integration", "definition", "customer", "customer_ref", "other"}
FILE = "@a file"
WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """One address. `has_key`: with the other merchant's key in it."""

    name: str
    url: str
    has_key: bool


def _keys_of(model: type[models.Model]) -> list[models.ForeignKey]:
    """Return a model's foreign keys."""
    return [field for field in model._meta.concrete_fields if isinstance(field, models.ForeignKey)]


KEYS = {field.name for model in all_models() for field in _keys_of(model)} | {"other"}  # what forms call other rows


# --- Addresses -----------------------------------------------------------------------------------------------------------
def patterns(found: Iterable[Any] | None = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Yield route and pattern of every address below admin/."""
    for item in get_resolver().url_patterns if found is None else found:
        route = before + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from patterns(item.url_patterns, route)
        elif route.startswith("admin/") and item.name not in LEFT_OUT and CATCH_ALL not in route:
            yield route, item


def addresses(world: World) -> list[Address]:
    """Return every address of the admin, with this merchant's keys where it takes any."""
    found: list[Address] = []
    for route, item in patterns():
        if isinstance(item.pattern, RegexPattern):
            start, names = route.split("^")[0], re.findall(r"\(\?P<\w+>([^)]*)\)", route)
            found += [Address(str(item.name), f"/{start}{name}/", False) for name in names[0].split("|")]
            continue
        routes = [route]
        for parameter, converter in item.pattern.converters.items():
            values = _values(parameter, converter, world, _model_at(route))
            routes = [re.sub(rf"<(\w+:)?{parameter}>", value, each) for each in routes for value in values]
        keys = (str(world.key), str(world.uuid))
        found += [Address(str(item.name), f"/{each}", any(key in each for key in keys)) for each in routes]
    return found


def _model_at(route: str) -> type[models.Model] | None:
    """Return the model whose admin an address belongs to."""
    return next((model for model in admin.site._registry if route.lstrip("/").startswith(_home(model)[1:])), None)


def _home(model: type[models.Model]) -> str:
    """Return the address of a model's list."""
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def _values(parameter: str, converter: Any, world: World, model: type[models.Model] | None) -> list[str]:
    """Return what stands for one part of an address. What is no key must be known here, so that nothing is skipped."""
    if parameter in KNOWN:
        return KNOWN[parameter]
    assert parameter.endswith(("id", "pk")), f"teach the walk what to put for {parameter}"
    is_uuid = model is not None and isinstance(model._meta.pk, models.UUIDField) and not isinstance(converter, IntConverter)
    return [str(world.uuid if is_uuid else world.key)]


def questions(world: World) -> list[Address]:
    """Return addresses without a key, asked about the other merchant's rows by every filter, search and parameter."""
    found, lists = [], {_home(model): model_admin for model, model_admin in admin.site._registry.items()}
    for address in addresses(world):
        if address.has_key:
            continue
        model = _model_at(address.url)
        names = {field.name for field in _keys_of(model)} | PARAMETERS if model else {"merchant", "integration"}
        asked = _questions_of(lists[address.url], world) if address.url in lists else [f"{name}={world.key}" for name in names]
        asked += [f"merchant={world.key}", f"delivery={world.uuid}", f"q={world.mark[:-2]}", f"q={world.mark}", "e=1"]
        found += [Address(address.name, f"{address.url}?{query}", True) for query in dict.fromkeys(asked)]
    for model, model_admin in admin.site._registry.items():
        for name in model_admin.autocomplete_fields:
            query = f"app_label={model._meta.app_label}&model_name={model._meta.model_name}&field_name={name}"
            found += [Address("autocomplete", f"/admin/autocomplete/?{query}&term={term}", bool(term)) for term in ("", "zq")]
    return found


def _questions_of(model_admin: Any, world: World) -> list[str]:
    """Return the parameters of a list: its filters, whatever key it may be filtered by, and a search for every column."""
    model, row = model_admin.model, world.rows.get(model_admin.model)
    found = [f"{field.name}__id__exact={world.key}" for field in _keys_of(model)]
    filters = [item[0] if isinstance(item, tuple) else item for item in model_admin.list_filter]
    found += [f"{name}__id__exact={world.key}" for name in filters if isinstance(name, str)]
    found += [f"customer_ref__exact={world.key}", f"id__exact={world.key}", f"id__exact={world.uuid}"]
    for path in model_admin.search_fields if row is not None else ():
        value: Any = row
        for step in path.lstrip("=^@").split("__"):
            value = getattr(value, step, None)
        found.append(f"q={value}")
    return list(dict.fromkeys(found))


# --- What is posted ------------------------------------------------------------------------------------------------------
HARVESTED: dict[str, list[tuple[str, Body]]] = {}


def harvest(world: World) -> list[tuple[str, Body]]:
    """Return what this merchant's owner can post; found once."""
    if world.mark not in HARVESTED:
        HARVESTED[world.mark] = _harvest(world.staff(f"harvester-{world.mark}", **{world.mark: "owner"}), world)
    return HARVESTED[world.mark]


def _harvest(client: Client, world: World) -> list[tuple[str, Body]]:
    """Return what somebody who may do it can post: from every page, and from every question that is asked back."""
    found: dict[str, tuple[str, Body]] = {}
    for address in addresses(world):
        for url, body in posts_on(address.url, text_of(client.get(address.url))):
            chosen = {name: [str(world.key)] if name in KEYS and values == [""] else values for name, values in body.items()}
            found[repr((url, chosen))] = url, chosen
    for url, body in list(found.values()):
        with undone(client):
            answer = client.post(url, body)
            page = text_of(answer) if answer.status_code == 200 else ""
        for post in posts_on(url, page):
            found[repr(post)] = post
    return list(found.values())


def moved(posts: Iterable[tuple[str, Body]], home: World, away: World) -> list[tuple[str, Body]]:
    """Return what one merchant's owner can post as another's can: each of their rows instead of each of ours."""
    pairs = {home.mark: away.mark, str(home.key): str(away.key), str(home.uuid): str(away.uuid), str(home.sum): str(away.sum)}

    def there(text: str) -> str:
        for here, other in pairs.items():
            text = text.replace(here, other)
        return text

    return [(there(url), {name: [there(value) for value in values] for name, values in body.items()}) for url, body in posts]


def swapped(posts: Iterable[tuple[str, Body]], ours: World, theirs: World) -> list[tuple[str, Body]]:
    """Return our own posts with the other merchant's keys in the body: our address, their row."""
    keys = {str(ours.key): str(theirs.key), str(ours.uuid): str(theirs.uuid)}
    found = []
    for url, body in posts:
        changed = {
            name: [str(theirs.key)] if name in KEYS else [keys.get(value, value) for value in values]
            for name, values in body.items()
        }
        found.append((url, changed))
    return found


def bare(world: World) -> list[tuple[str, Body]]:
    """Return a post to every address that names the other merchant's rows wherever it can."""
    body = {name: [str(world.key)] for name in KEYS}
    body |= {"delivery": [str(world.uuid)], "look": [str(world.uuid)], "post": ["yes"], "confirmed": ["1"], "done": ["1"]}
    body |= {"_selected_action": [str(world.key), str(world.uuid)], "provider": ["clevertap"], "file": [FILE]}
    found = addresses(world)
    urls = [address.url for address in found]
    urls += [f"{address.url}?merchant={world.key}" for address in found if not address.has_key]
    return [(url, body) for url in urls]


# --- What came of it -----------------------------------------------------------------------------------------------------
@contextmanager
def undone(client: Client) -> Iterator[None]:
    """Take back whatever is done inside: rows, and what the browser remembers (a new password would log it out)."""
    cookies = copy.deepcopy(client.cookies)
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    client.cookies = cookies


class Writes:
    """Notes whether a statement wrote anything but the session."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen = self.seen or ("django_session" not in sql and bool(WRITING.search(sql)))
        return execute(sql, params, many, context)


def text_of(answer: Any) -> str:
    """Return all that an answer tells: body or stream, where it leads, and what the next page will say."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    request = getattr(answer, "wsgi_request", None)
    said = [str(each) for each in getattr(getattr(request, "_messages", None), "_queued_messages", [])]
    return "\n".join([body.decode(errors="replace"), answer.headers.get("Location", ""), *said])


def finds(text: str, world: World, asked: str) -> list[str]:
    """Return what a text tells of a merchant, besides what was asked with."""
    wanted = [world.mark, str(world.sum), f"{world.sum:,}", str(world.uuid)]
    found = [word for word in wanted if word in text and word not in asked]
    if str(world.key) not in asked and re.search(rf"\b{world.key}\b", text):
        found.append(str(world.key))
    if world.mark in asked and f"/{world.key}/" in text and str(world.key) not in asked:
        found.append(f"a link to {world.key}")
    return found


def looks(client: Client, world: World, found: Iterable[Address]) -> list[str]:
    """GET these addresses; return those that told something of that merchant, broke, or changed something of theirs."""
    guilty, before = [], world.fingerprint()
    for address in found:
        cookies = copy.deepcopy(client.cookies)
        answer = client.get(address.url)
        client.cookies = cookies  # messages that repeat what was asked for are not to be read on the next page
        told = finds(text_of(answer), world, address.url)
        if told or answer.status_code >= 500:
            guilty.append(f"GET {address.url}: {answer.status_code} {told}")
    return guilty + (["a GET changed something"] if world.fingerprint() != before else [])


def acts(client: Client, world: World, posts: Iterable[tuple[str, Body]], *, may_look: bool = False) -> list[str]:
    """POST everything; return what changed something of that merchant, told of it, or broke."""
    guilty, before = [], world.fingerprint()
    for url, body in posts:
        with undone(client):
            files = {"file": SimpleUploadedFile("zq.csv", b"email,coins\nzq@zq.example,5\n")} if "file" in body else {}
            with connection.execute_wrapper(writes := Writes()):
                answer = client.post(url, body | files)
            told = [] if may_look else finds(text_of(answer), world, f"{url} {body}")
            after = world.fingerprint() if writes.seen else before
        if after != before:
            changed = {name for name in {*after, *before} if after.get(name) != before.get(name)}
            guilty.append(f"POST {url}: changed {sorted(changed)} by {body}")
        elif told or answer.status_code >= 500:
            guilty.append(f"POST {url}: {answer.status_code} {told} by {body}")
    return guilty
