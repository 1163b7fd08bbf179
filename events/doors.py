"""What the public doors for machines have in common: answers in JSON, and the limit on how often one is asked."""

from __future__ import annotations

from django.http import JsonResponse

from events import rates


def answer(status: int, words: str, **headers: str) -> JsonResponse:
    """Return a refusal, in words for whoever looks into the sender's log. A header's name has _ for -."""
    return JsonResponse(
        {"error": words}, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def too_often(what: str) -> JsonResponse | None:
    """Count a request to this address; return the refusal where it is one too many within this minute."""
    if not rates.is_too_often(what, rates.DOOR_FACTOR):
        return None
    return answer(429, "Too many requests. Send it again in a minute.", Retry_After=str(rates.seconds_left()))


def stored(is_new: bool) -> JsonResponse:
    """Return the answer to what is here now, or was already: 200 in any case, so that it is not sent again."""
    return JsonResponse({"stored": is_new, "repeated": not is_new})
