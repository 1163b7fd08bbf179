"""What is kept of a call's request and answer: enough to explain it, never a secret."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote_plus, urlsplit, urlunsplit

from integrations.providers.base import Answer, Fault, Request
from integrations.secrets import MASK

LONGEST_REQUEST = 4_000
LONGEST_RESPONSE = 4_000


def masked_url(request: Request) -> str:
    """Return the address with secret parameters masked."""
    parts = urlsplit(request.url)
    if not request.secret_params:
        return request.url
    given = parse_qsl(parts.query, keep_blank_values=True)
    pairs = [(quote_plus(name), MASK if name in request.secret_params else quote_plus(value)) for name, value in given]
    return urlunsplit(parts._replace(query="&".join(f"{name}={value}" for name, value in pairs)))


def request_text(request: Request) -> str:
    """Return the request as it may be stored: method, address, headers with secrets masked, the body's beginning."""
    lines = [f"{request.method} {masked_url(request)}"]
    lines += [f"{name}: {MASK if name in request.secret_headers else value}" for name, value in request.headers.items()]
    body = request.body[:LONGEST_REQUEST].decode("utf-8", errors="ignore")
    if len(request.body) > LONGEST_REQUEST:
        body += f"\n[{len(request.body)} bytes in all]"
    return "\n".join([*lines, "", body]) if body else "\n".join(lines)


def response_text(answer: Answer) -> str:
    """Return the answer as it may be stored. Secrets that it echoed were masked as it came in."""
    text = answer.message if isinstance(answer, Fault) else f"HTTP {answer.status}\n\n{answer.text[:LONGEST_RESPONSE]}"
    return text.replace("\x00", "")
