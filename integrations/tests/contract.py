"""What the contract tests of all providers share: the cases, their outcomes, and comparing a request with a case's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integrations.providers.base import Answer, Fault, Outcome, Provider, Request, Response, Verification

FOLDER = Path(__file__).parent.parent / "contracts"
OUTCOMES = {
    "delivered": Outcome.ACCEPTED,
    "retry": Outcome.TRANSIENT,
    "failed": Outcome.PERMANENT,
    "disable_integration": Outcome.CONFIGURATION,
}


def load(slug: str) -> list[dict]:
    """Return a provider's contract cases."""
    return json.loads((FOLDER / f"{slug}.json").read_text())


def assert_subset(expected, actual, path="$"):
    """Check that everything expected is there; our own fields may be added to objects."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in actual, f"{path}.{key}"
            assert_subset(value, actual[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), path
        for index, value in enumerate(expected):
            assert_subset(value, actual[index], f"{path}[{index}]")
    else:
        assert expected == actual, path


def assert_request(expected: dict, request: Request) -> None:
    """Check method, address, headers and body against a case's `expect_request`."""
    assert (request.method, request.url) == (expected["method"], expected["url"])
    assert_subset(expected["headers"], request.headers)
    if expected["json"] is None:
        assert request.body == b""
    else:
        assert_subset(expected["json"], json.loads(request.body))


def response(reply: dict) -> Response:
    """Return a case's `provider_reply` as it would be received."""
    return answer(reply["body"], reply["status"], reply.get("headers"))


def answer(body: object, status: int = 200, headers: dict | None = None) -> Response:
    """Return an answer; a text is sent as it is, everything else as JSON."""
    return Response(status, headers or {}, body if isinstance(body, str) else json.dumps(body))


def verify(provider: Provider, account, *answers: Answer) -> tuple[list[Request], Verification]:
    """Walk through a credential check with these answers; every one of them must be asked for."""
    steps = provider.verify_steps(account)
    requests = [next(steps)]
    for given in answers[:-1]:
        requests.append(steps.send(given))
    with pytest.raises(StopIteration) as end:
        steps.send(answers[-1])
    return requests, end.value.value


DOWN = Fault("dns", "no name", False)
