from __future__ import annotations

import html

import pytest
from django.urls import reverse

from nectorbridge.testing import make


def page(definition) -> str:
    return reverse("admin:events_eventdefinition_journey", args=[definition.pk])


def shown(client, definition) -> str:
    return html.unescape(client.get(page(definition)).content.decode())


@pytest.mark.parametrize(
    ("provider", "snippet", "link"),
    [
        ("clevertap", "{{ event.coins }}", "{{ event.nector_click_url }}"),
        ("moengage", "{{EventAttribute['coins']}}", "{{EventAttribute['nector_click_url']}}"),
        ("contlo", "[coins]", "[nector_click_url]"),
    ],
)
def test_values_links_and_message_are_in_the_providers_syntax(owner, integration, provider, snippet, link):
    definition = make.definition(make.integration(integration.merchant, provider=provider), name="Points_Earned")
    text = shown(owner, definition)
    assert snippet in text and link in text and f"You earned {snippet} points" in text
    assert "“Points_Earned”" in text and "Build the journey in" in text


def test_names_are_those_that_the_provider_gets(owner, integration):
    definition = make.definition(make.integration(integration.merchant, provider="moengage"))
    text = shown(owner, definition)
    assert "{{EventAttribute['nector_transaction_id']}}" in text and "{{EventAttribute['transaction_id']}}" not in text


def test_where_no_syntax_is_published_the_page_says_how_to_find_it(owner, integration):
    definition = make.definition(make.integration(integration.merchant, provider="contlo"))
    assert "Contlo publishes no way" in shown(owner, definition)


def test_what_moengage_cannot_do_is_said(owner, integration):
    definition = make.definition(make.integration(integration.merchant, provider="moengage"))
    assert "not in Connector campaigns" in shown(owner, definition)


def test_a_viewer_may_look_and_another_merchant_finds_nothing(viewer, stranger, definition):
    assert viewer.get(page(definition)).status_code == 200
    assert stranger.get(page(definition)).status_code == 404
