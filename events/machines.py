"""Telling people from machines that open pictures and follow links: mail proxies, filters, previews, crawlers.

What is looked at (headers, address) is judged at the door and not kept. A judgement is a guess in one direction: what shows
itself as a machine is one; one that poses as a browser counts as a person, unless it is quicker than a person can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

BURST = timedelta(seconds=1)  # nobody follows links of two messages within it
# What mail proxies, link scanners, previews, crawlers and programs call themselves.
NAMES = re.compile(
    r"""googleimageproxy|yahoomailproxy|ymailproxy|mailproxy|imageproxy|image-proxy|applemail-?proxy|seznam-email-proxy
    |barracuda|proofpoint|mimecast|forcepoint|symantec|messagelabs|ironport|trendmicro|trend\ micro|sophos|fireeye|zscaler
    |safelinks|safe\ links|urldefense|bingpreview|skypeuripreview|microsoft\ office\ (?:existence|protocol)|ms-office
    |microsoftpreview|outlook-linkpreview|cloudmark|avanan|checkpoint|virustotal|urlscan|linkscan|link-check|link\ check
    |(?<!cu)bot\b|crawl|spider|slurp|scanner|preview|facebookexternalhit|facebot|whatsapp/|telegram|slack|discord|skype
    |twitterbot|linkedinbot|pinterest|embedly|feedfetcher|monitor|uptime|pingdom|headless|phantomjs|selenium|puppeteer
    |playwright|lighthouse|python|curl/|wget|libwww|lwp::|java/|okhttp|apache-http|httpclient|go-http|ruby|perl|php/|node-fetch
    |axios|got\ \(|aiohttp|scrapy|guzzle|postman|insomnia|http_request|httpunit|nutch""",
    re.IGNORECASE | re.VERBOSE,
)
# Apple's proxy, which loads every picture of every mail, says this and no more.
BARE = frozenset(["mozilla/5.0", "mozilla", "mozilla/4.0"])
AHEAD = ("prefetch", "preview", "prerender")  # a browser that fetches what nobody has asked for yet
AHEAD_HEADERS = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
# Google's picture proxy and Apple's whole network: no customer's own machine is there.
NETWORKS = [ip_network(name) for name in ("66.102.0.0/20", "66.249.64.0/19", "17.0.0.0/8", "2a01:b740::/32", "2620:149::/32")]


class Clicked(NamedTuple):
    """One click: `key` names it, `whose` the customer and the integration, `delivery` the link."""

    key: int
    whose: tuple[int, str]
    delivery: object
    at: datetime


def is_machine(meta: Mapping[str, str], address: str = "") -> bool:
    """Tell whether this request is a machine's, by its headers (as they stand in a request's META) and its address."""
    if _is_named(meta.get("HTTP_USER_AGENT", "")):
        return True
    if any(word in meta[name].lower() for name in AHEAD_HEADERS if name in meta for word in AHEAD):
        return True
    return _is_in_networks(address)


@lru_cache(maxsize=4096)
def _is_named(agent: str) -> bool:
    """Tell whether an agent shows itself as a machine. The names are many, the agents few."""
    return agent.strip().lower() in BARE or NAMES.search(agent) is not None


@lru_cache(maxsize=4096)
def _is_in_networks(address: str) -> bool:
    """Tell whether an address belongs to a network of proxies."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in NETWORKS)


def bursts(clicks: Iterable[Clicked]) -> set[int]:
    """Return the keys of clicks that lie within a second of one on another link of the same customer."""
    by_customer: dict[tuple[int, str], list[Clicked]] = {}
    for click in clicks:
        by_customer.setdefault(click.whose, []).append(click)
    found: set[int] = set()
    for theirs in by_customer.values():
        theirs.sort(key=lambda click: click.at)
        for number, click in enumerate(theirs):
            for other in theirs[number + 1 :]:
                if other.at - click.at >= BURST:
                    break
                if other.delivery != click.delivery:
                    found |= {click.key, other.key}
    return found
