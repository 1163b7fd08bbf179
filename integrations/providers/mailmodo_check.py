"""What Mailmodo says to the credential check, and the words and marks that every answer of its is judged by.

Facts from Mailmodo's OpenAPI document "Contact Management" (getAllContactLists) at developers.mailmodo.com. What a wrong key is
answered with is not published; public secret scanners expect that an error may come with a 200 and an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import mailmodo_guide as guide
from integrations.providers.base import Answer, Fault, Response, Verification

# The words are not published. Narrow on purpose: an event whose "key" (a property) is wrong must not stop the integration.
NAMES_THE_KEY = re.compile(
    r"(\bapi|mm_?api|access|auth\w*)[\s_-]?key"
    r"|(invalid|wrong|unknown|expired|revoked|inactive) key\b"
    r"|unauthori[sz]ed|unauthenticated|not authori[sz]ed",
    re.IGNORECASE,
)
TOO_MANY = re.compile(r"too many (requests|calls)|rate.?limit|requests? per second|throttl", re.IGNORECASE)
BUSY_STATUSES = frozenset([408, 425, 429])
KEY_STATUSES = frozenset([400, 401, 403])


def success(body: Any) -> bool | None:
    """Return the body's `success`; None where it says neither."""
    said = str(body.get("success")).lower() if isinstance(body, Mapping) else ""
    return {"true": True, "false": False}.get(said)


def is_failure(body: Mapping[str, Any]) -> bool:
    """Tell whether a body says no: by `success`, or by an error without one."""
    return success(body) is False or (success(body) is None and bool(_error_of(body)))


def _error_of(body: Mapping[str, Any]) -> Any:
    """Return the value of `error`, also as `Error`."""
    return body.get("error") or body.get("Error")


def words(body: Any) -> str:
    """Return the provider's own words, cut to a line. `error` is a class name where there is a message."""
    if not isinstance(body, Mapping):
        return ""
    return str(body.get("message") or _error_of(body) or "")[:300]


def names_the_key(body: Any) -> bool:
    """Tell whether the message or the error speaks of the API key."""
    if not isinstance(body, Mapping):
        return False
    return bool(NAMES_THE_KEY.search(f"{body.get('message') or ''} {_error_of(body) or ''}"))


def key_reason(said: str) -> str:
    """Return the sentence for a refused key."""
    return str(_("Mailmodo refused the API key. %(words)s") % {"words": said}).strip()


def read_check(answer: Answer, list_name: str) -> Verification:
    """Read the lists of the account. Only a list of lists, and no word of an error beside it, is a yes."""
    if isinstance(answer, Fault):
        reason = str(_("Mailmodo could not be reached."))
        return Verification(False, reason, str(guide.FIX_NETWORK), answer.message, reachable=False)
    body, said = answer.json(), words(answer.json())
    has_error = isinstance(body, Mapping) and any(str(key).lower() == "error" for key in body)
    if answer.status >= 500 or answer.status in BUSY_STATUSES or TOO_MANY.search(said):
        reason = str(_("Mailmodo answered %(status)d to the check.") % {"status": answer.status})
        return Verification(False, reason, str(guide.FIX_LATER), said, reachable=False)
    is_good = 200 <= answer.status < 300
    if answer.status in KEY_STATUSES or (is_good and has_error) or (answer.status != 404 and names_the_key(body)):
        return Verification(False, key_reason(said), str(guide.FIX_KEY))
    lists = body.get("listDetails") if isinstance(body, Mapping) else None
    if answer.status == 200 and isinstance(lists, list) and success(body) is not False:
        return Verification(True, detail=_connected(lists, list_name))
    return _unexpected(answer)


def _unexpected(answer: Response) -> Verification:
    """Return the end of a check that nobody can make sense of: nothing was learned about the key."""
    reason = str(_("Mailmodo's answer to the check could not be read (%(status)d).") % {"status": answer.status})
    return Verification(False, reason, str(guide.FIX_MOVED), words(answer.json()), reachable=False)


def _connected(lists: list[Any], list_name: str) -> str:
    """Return what was found out about the list, and what happens next."""
    found = next((item for item in lists if isinstance(item, Mapping) and item.get("name") == list_name), None)
    count = found.get("contacts_count") if found else None
    if found is None:
        about = _("Mailmodo accepted the key. The list “%(name)s” does not exist yet and will be made.")
    elif isinstance(count, int) and not isinstance(count, bool):
        about = _("Mailmodo accepted the key. The list “%(name)s” exists already and holds %(count)d contacts.")
    else:
        about = _("Mailmodo accepted the key. The list “%(name)s” exists already.")
    said = str(about % {"name": list_name, "count": count})
    return f"{said} {_('All customers are added to it next, in the background.')}"
