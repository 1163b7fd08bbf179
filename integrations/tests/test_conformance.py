"""What every provider's module must do, whichever it is: its contract's cases, and the properties in `conformance`.

A new module is taken up by itself. It needs a contract file, a page in `docs/providers` and a place in the sandbox.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from integrations.providers import all_providers
from integrations.providers.base import Provider
from integrations.tests import conformance, contract
from nectorbridge.sandbox.providers import PROVIDERS as SANDBOXES

DOCS = Path(__file__).parents[2] / "docs" / "providers"


def every_case(*operations: str) -> list:
    """Return each provider with each of its cases."""
    found = [(provider, case) for provider in all_providers() for case in contract.cases(provider.slug, *operations)]
    return [pytest.param(provider, case, id=f"{provider.slug}-{case['name']}") for provider, case in found]


each_provider = pytest.mark.parametrize("provider", all_providers(), ids=lambda provider: provider.slug)


@pytest.mark.parametrize(("provider", "case"), every_case(*contract.EVENTS, *contract.CONTACTS))
def test_the_request_is_the_contracts(provider, case):
    contract.check_packing(provider, case)


@pytest.mark.parametrize(("provider", "case"), every_case(*contract.EVENTS, *contract.CONTACTS))
def test_the_reply_means_what_the_contract_says(provider, case):
    contract.check_reading(provider, case)


@pytest.mark.parametrize(("provider", "case"), every_case(*contract.CHECKS))
def test_credentials_are_checked_as_the_contract_says(provider, case):
    contract.check_verifying(provider, case)


@each_provider
def test_the_contract_has_cases_of_events_and_checks_and_no_unknown_ones(provider):
    found = contract.load(provider.slug)
    assert {"send_event", "verify"} <= {case["given"]["operation"] for case in found} <= contract.OPERATIONS
    assert all(case.get("source") for case in found)
    assert len({case["name"] for case in found}) == len(found)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
@each_provider
def test_it(provider: Provider, check):
    check(conformance.subject_of(provider))


@each_provider
def test_it_has_a_page_a_sandbox_and_an_address_to_replace(provider):
    page = (DOCS / f"{provider.slug}.md").read_text()
    assert provider.label in page and provider.slug in SANDBOXES
    assert SANDBOXES[provider.slug].label == provider.label
    assert provider.slug in settings.PROVIDER_BASE_URLS
