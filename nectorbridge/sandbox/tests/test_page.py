"""The page: what it shows, what it escapes, and the forms on it."""

from __future__ import annotations

import re

from nectorbridge.sandbox.tests.conftest import Client, event, profile


def page(client: Client, query: str = "?refresh=off") -> str:
    answer = client.own("GET", f"/{query}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return answer.text


def numbers(html: str) -> dict[str, str]:
    card = html.partition("<h2>CleverTap</h2>")[2].partition("</section>")[0]
    return dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", card))


def test_an_empty_page_says_what_to_do(client: Client) -> None:
    html = page(client)

    assert "Nothing has arrived yet" in html
    assert client.sandbox.url_of("clevertap") in html


def test_the_page_shows_counters_and_the_newest_records_first(client: Client) -> None:
    client.upload(profile(Name="Asha"), event("dlv_01", evtName="First"), event("dlv_02", ts=0, evtName="Second"))
    client.upload(event("dlv_01", evtName="Third"))

    html = page(client)

    assert numbers(html) == {
        "events accepted": "2",
        "profiles accepted": "1",
        "calls": "2",
        "records refused": "1",
        "duplicates": "1",
    }
    assert re.findall(r"<strong>([^<]+)</strong>", html) == ["Third", "Second", "First", "profile"]
    assert "refused 525" in html


def test_the_page_shows_the_newest_fifty_alone(client: Client) -> None:
    client.upload(*[event(evtName=f"Event {i}") for i in range(30)])
    client.upload(*[event(evtName=f"Event {i}") for i in range(30, 60)])

    names = re.findall(r"<strong>([^<]+)</strong>", page(client))

    assert names == [f"Event {i}" for i in range(59, 9, -1)]


def test_nothing_that_was_sent_is_markup(client: Client) -> None:
    evil = "<script>alert(1)</script>\"'&"
    client.upload(event(evil, evtName=evil, identity=evil), headers={"X-CleverTap-Account-Id": evil})
    client.upload({"type": evil}, evil)
    client.sandbox.fault("clevertap", "status", path=evil)

    html = page(client)

    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 5


def test_the_page_runs_no_scripts_and_loads_nothing(client: Client) -> None:
    answer = client.own("GET", "/")

    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "src=" not in answer.text
    assert "@import" not in answer.text


def test_the_live_page_loads_itself_again_and_the_paused_one_does_not(client: Client) -> None:
    refresh = '<meta http-equiv="refresh" content="5">'

    assert refresh in page(client, "")
    assert refresh not in page(client, "?refresh=off")


def test_a_fault_can_be_added_and_cleared_with_the_forms(client: Client) -> None:
    form = {
        "provider": "clevertap",
        "kind": "status",
        "status": "418",
        "retry_after": "3",
        "times": "",
        "path": "",
        "seconds": "",
    }

    added = client.own("POST", "/_sandbox/faults", data=form, allow_redirects=False)
    assert (added.status_code, added.headers["Location"]) == (303, "/")
    assert "answers 418, until cleared (served 0)" in page(client).replace("</strong>", "")
    answer = client.upload(event())
    assert (answer.status_code, answer.headers["Retry-After"]) == (418, "3")

    number = client.sandbox.faults.active()[0].id
    cleared = client.own("POST", "/_sandbox/faults/clear", data={"id": str(number)}, allow_redirects=False)
    assert cleared.status_code == 303
    assert client.sandbox.faults.active() == []


def test_a_form_with_a_word_for_a_number_is_refused(client: Client) -> None:
    answer = client.own("POST", "/_sandbox/faults", data={"provider": "clevertap", "kind": "status", "status": "many"})

    assert (answer.status_code, answer.json()) == (400, {"error": "a number is needed"})


def test_another_site_may_not_change_anything(client: Client) -> None:
    client.upload(event())

    answer = client.own("POST", "/_sandbox/reset", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert len(client.sandbox.arrived("clevertap")) == 1

    same = client.own("POST", "/_sandbox/reset", headers={"Origin": client.sandbox.url})
    assert same.status_code == 200


def test_a_page_that_is_not_there_names_the_providers(client: Client) -> None:
    answer = client.own("GET", "/favicon.ico")

    wanted = "Nothing here. Providers: /clevertap, /moengage, /contlo, /mailmodo, /wigzo"
    assert (answer.status_code, answer.json()) == (404, {"error": wanted})
