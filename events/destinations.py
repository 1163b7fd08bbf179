"""Where a click leads: the address that a definition or its merchant names, with the parameters of analytics if wanted."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

LONGEST = 500
NO_CHANNEL = "loyalty"  # where the journey at the provider chooses the channel


@lru_cache(maxsize=4096)
def with_utm(address: str, source: str, channel: str, campaign: str) -> str:
    """Return the address with utm_source (the provider), utm_medium (the channel) and utm_campaign (the event's name).

    What is in the address already stays as it is; one that would become too long, or cannot be read, is returned unchanged.
    """
    try:
        parts = urlsplit(address)
        given = {name for name, _value in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:
        return address
    if not parts.netloc:
        return address
    wanted = {"utm_source": source, "utm_medium": channel or NO_CHANNEL, "utm_campaign": campaign}
    added = urlencode({name: value for name, value in wanted.items() if name not in given})
    query = "&".join(part for part in (parts.query, added) if part)
    longer = urlunsplit(parts._replace(query=query))
    return longer if len(longer) <= LONGEST else address
