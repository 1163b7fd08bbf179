"""What Mailmodo's answers mean: to an event, a contact, a batch of contacts, and the credential check."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from integrations.providers import get_provider
from integrations.providers.base import LAUNCH_FACTS, Account, Call, Event, Outcome, Profile, Response
from integrations.tests.contract import DOWN, answer, verify

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = {"api_key": "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD"}
ACCOUNT = Account({"list_name": "Nector customers"}, KEY, "email")
STATIC = {"success": False, "message": "Cannot add users to static segmentation list"}
ADDED = {"message": "All contacts were added to the list", "listId": "f6d0ad54-b0b1-49cc-803e-016af1b7852c"}
DUPLICATES = {
    "error": "ValidationError",
    "success": False,
    "status": "error",
    "message": "email should be unique in values. Found duplicates for 'a@x.io'",
}
GATEWAY = {"error": "error", "message": "Some Internal Error Occurred: 404"}
mailmodo = get_provider("mailmodo")


def event_call() -> Call:
    event = Event("d", "E", "c", {"email": "a@x.io"}, {}, NOW)
    return mailmodo.pack_events(ACCOUNT, [event], {}, NOW).calls[0]


def contact_call(*emails: str, bulk=False) -> Call:
    """Return a call with customers c1, c2, ... of these addresses."""
    profiles = [Profile(f"c{n}", {"email": email}) for n, email in enumerate(emails or ("a@x.io",), 1)]
    return mailmodo.pack_contacts(ACCOUNT, profiles, NOW, bulk=bulk).calls[0]


def read(said, status=200):
    return mailmodo.read(event_call(), answer(said, status))


def read_single(said, status=200):
    return mailmodo.read(contact_call(), answer(said, status))


def read_batch(said, status=200, emails=("a@x.io", "b@x.io")):
    return mailmodo.read(contact_call(*emails, bulk=True), answer(said, status))


# --- An event --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_accepted_event_keeps_its_ref(status):
    verdict = read({"success": True, "ref": "428ef507"}, status).verdict
    assert (verdict.outcome, verdict.message) == (Outcome.ACCEPTED, "ref 428ef507")
    assert read({"ref": "428ef507"}, status).verdict.outcome is Outcome.ACCEPTED
    assert read({"success": True}, status).verdict.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("status", [200, 202, 204, 207])
@pytest.mark.parametrize("said", ["", "  ", "<html>", "null", "[]", "1", "{", '"success"', {}, {"status": "ok"}, {"success": 3}])
def test_a_2xx_that_says_neither_yes_nor_no_is_uncertain(said, status):
    reading = read(said, status)
    assert reading.verdict.outcome is Outcome.UNCERTAIN and reading.hold_seconds is None


@pytest.mark.parametrize("message", ["event_name must be a string", "unknown property key", "forbidden characters", "", None])
def test_success_false_fails_this_event_alone(message):
    reading = read({"success": False, "message": message, "ref": "x"})
    assert reading.verdict.outcome is Outcome.PERMANENT and reading.verdict.message
    assert not reading.refused and reading.hold_seconds is None


def test_an_error_without_success_is_no_yes():
    assert read({"error": "ValidationError", "message": "bad"}).verdict.outcome is Outcome.PERMANENT


@pytest.mark.parametrize(
    ("message", "holds"),
    [
        ("Too many requests", True),
        ("Rate limit exceeded", True),
        ("rate-limited", True),
        ("Too many requests for this API key", True),
        ("Daily limit reached", False),
        ("Something went wrong, try again", False),
    ],
)
def test_a_refusal_that_may_pass_is_tried_again(message, holds):
    reading = read({"success": False, "message": message})
    assert reading.verdict.outcome is Outcome.TRANSIENT
    assert (reading.hold_seconds is not None) is holds  # a hold costs no try: only the pace may ask for one


@pytest.mark.parametrize("status", [200, 400, 422])
@pytest.mark.parametrize("message", ["Invalid API key", "api_key is missing", "mmApiKey is required", "Unauthorized"])
def test_a_refusal_that_names_the_key_is_the_integrations(message, status):
    verdict = read({"success": False, "message": message}, status).verdict
    assert verdict.outcome is Outcome.CONFIGURATION and message in verdict.message
    assert read({"Error": "API key missing"}, status).verdict.outcome is Outcome.CONFIGURATION


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_the_integrations_whatever_the_body(status):
    assert read("", status).verdict.outcome is Outcome.CONFIGURATION
    assert read_single("", status).verdict.outcome is Outcome.CONFIGURATION
    assert not read_batch("", status).refused


@pytest.mark.parametrize("status", [400, 405, 409, 413, 422])
def test_a_refused_request_fails(status):
    assert read({"message": "limit of 50 characters"}, status).verdict.outcome is Outcome.PERMANENT
    assert read("<html>", status).verdict.message


def test_a_wrong_address_fails_with_words():
    verdict = read(GATEWAY, 404).verdict
    assert verdict.outcome is Outcome.PERMANENT and GATEWAY["message"] in verdict.message


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
@pytest.mark.parametrize("said", ["", "<html>", {"success": False, "message": "Invalid API key"}, {"success": True}])
def test_a_server_error_wins_over_what_its_body_says_and_uses_a_try(status, said):
    reading = read(said, status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds is None and not reading.verdict.max_tries


def test_429_asks_for_patience():
    for reading in (read("", 429), read_single({"message": "Too many requests"}, 429), read_batch("", 429)):
        assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds and not reading.refused
    assert read({"message": "Too many requests"}, 400).hold_seconds


# --- Contacts --------------------------------------------------------------------------------------------------------


def test_a_contact_is_taken_when_success_says_so():
    reading = read_single({"success": True, "message": "The contact is successfully added/updated"})
    assert reading.verdict.outcome is Outcome.ACCEPTED and reading.contacts == {"c1"}
    assert read_single({"message": "?"}).verdict.outcome is Outcome.UNCERTAIN
    assert read_single("").verdict.outcome is Outcome.UNCERTAIN


def test_a_batch_is_taken_without_success():
    reading = read_batch(ADDED)
    assert reading.verdict.outcome is Outcome.ACCEPTED
    assert reading.contacts == {"c1", "c2"} and not reading.refused


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_batch_with_success_is_taken_too(status):
    assert read_batch({"success": True}, status).contacts == {"c1", "c2"}


@pytest.mark.parametrize("said", ["", "<html>", "[]", "null", {}, {"status": "ok"}])
def test_a_batch_whose_answer_cannot_be_read_took_nobody_for_certain(said):
    reading = read_batch(said)
    assert reading.verdict.outcome is Outcome.UNCERTAIN and not reading.contacts and not reading.refused


def partial(*errors, **more):
    return {"message": "Some contacts were not added to the list", "errors": list(errors), "listId": "f6d0", **more}


def test_a_207_is_read_contact_by_contact():
    said = partial(
        {"email": "B@x.io", "failure reason": "Invalid email"}, warnings=[{"email": "a@x.io", "warning": "phone was dropped"}]
    )
    reading = read_batch(said, 207, ("A@x.io", "b@x.io", "c@x.io"))
    assert reading.verdict.outcome is Outcome.ACCEPTED
    assert reading.contacts == {"c1", "c3"}
    assert reading.refused == {"c2": "*"} and reading.refused_reasons == {"c2": "Invalid email"}


def test_an_address_that_two_customers_share_is_refused_for_both():
    said = partial({"email": "a@x.io", "failure reason": "blocked"})
    reading = read_batch(said, 207, ("a@x.io", "b@x.io", "A@X.io"))
    assert reading.contacts == {"c2"} and reading.refused == {"c1": "*", "c3": "*"}


def test_a_207_with_warnings_alone_took_everybody():
    said = {"message": "ok", "errors": [], "warnings": [{"email": "a@x.io", "warning": "w"}], "listId": "f"}
    assert read_batch(said, 207).contacts == {"c1", "c2"}


def test_a_reason_that_may_pass_leaves_its_contact_open():
    reading = read_batch(partial({"email": "b@x.io", "failure reason": "Internal error, try again"}), 207)
    assert reading.contacts == {"c1"} and not reading.refused


def test_a_refusal_without_words_gets_some():
    reading = read_batch(partial({"email": "b@x.io"}), 207)
    assert reading.refused == {"c2": "*"} and "no reason" in reading.refused_reasons["c2"]


@pytest.mark.parametrize("errors", [[{"email": "z@x.io"}], [{"failure reason": "?"}], ["b@x.io"], "b@x.io", {"b@x.io": "?"}, []])
def test_an_error_that_names_nobody_of_the_call_leaves_everybody_open(errors):
    reading = read_batch({"message": "Some contacts were not added to the list", "errors": errors}, 207)
    assert reading.verdict.outcome is Outcome.UNCERTAIN and not reading.contacts and not reading.refused


def test_errors_are_read_below_any_good_status():
    said = partial({"email": "b@x.io", "failure reason": "Invalid email"}, success=False)
    for status in (200, 207):
        assert read_batch(said, status).contacts == {"c1"} and set(read_batch(said, status).refused) == {"c2"}


@pytest.mark.parametrize("status", [200, 400])
def test_a_static_segment_is_the_settings_fault_and_nobody_elses(status):
    for reading in (read_batch(STATIC, status), read_single(STATIC, status)):
        assert reading.verdict.outcome is Outcome.CONFIGURATION and not reading.refused and not reading.contacts
        assert "“Nector customers”" in reading.verdict.message and "another List Name" in reading.verdict.message


def test_a_batch_refused_as_a_whole_is_cut_until_the_bad_contact_stands_alone():
    reading = read_batch(DUPLICATES, 400)
    assert reading.verdict.outcome is Outcome.PERMANENT and reading.split
    assert reading.refused == {"c1": "*", "c2": "*"} and reading.refused_reasons["c1"] == DUPLICATES["message"]
    assert not read_batch(DUPLICATES, 400, ("a@x.io",)).split and not read_batch(DUPLICATES, 400, ("a@x.io", "A@x.io")).split


def test_a_contact_refused_for_good_is_not_pushed_again():
    reading = read_single({"error": "ValidationError", "success": False, "message": "email is invalid"}, 400)
    assert reading.refused == {"c1": "*"} and reading.refused_reasons == {"c1": "email is invalid"} and not reading.contacts


@pytest.mark.parametrize("status", [404, 405, 409, 410])
def test_a_refusal_that_is_about_the_call_blames_no_contact(status):
    reading = read_single(GATEWAY, status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.verdict.max_tries == 2 and not reading.refused


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"success": False, "message": "Another batch is already running"}, 400),
        ({"success": False, "message": "A batch is in progress, please try again later"}, 400),
        ({"success": False, "message": "A batch is in progress, please try again later"}, 200),
        ({"message": "Only one at a time"}, 422),
        ("", 409),
        ({"error": "Parallel calls are not allowed"}, 423),
    ],
)
def test_another_batch_under_way_asks_for_patience(said, status):
    reading = read_batch(said, status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds
    assert not reading.refused and not reading.contacts


# --- The credential check --------------------------------------------------------------------------------------------


def lists(*items, **more):
    return answer({"listDetails": list(items), **more})


@pytest.mark.parametrize(
    ("account", "word"),
    [
        (Account({"list_name": "L"}, {}, "email"), "key"),
        (Account({"list_name": "L"}, {"api_key": "  "}, "email"), "key"),
        (Account({}, KEY, "email"), "List Name"),
        (Account({"list_name": " \n"}, KEY, "email"), "List Name"),
    ],
)
def test_what_is_blank_is_said_without_a_call(account, word):
    with pytest.raises(StopIteration) as end:
        next(mailmodo.verify_steps(account))
    assert not end.value.value.ok and end.value.value.reachable and end.value.value.fix and word in end.value.value.reason


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lists(), "does not exist yet and will be made"),
        (lists({"name": "nector customers"}), "does not exist yet and will be made"),
        (lists({"name": "Nector customers"}), "exists already."),
        (lists({"name": "Other", "contacts_count": 3}, {"name": "Nector customers", "contacts_count": 12}), "holds 12 contacts"),
        (lists("odd", None), "does not exist yet"),
    ],
)
def test_a_good_key_says_what_becomes_of_the_list(given, words):
    (request,), result = verify(mailmodo, ACCOUNT, given)
    assert (request.method, request.body, request.secret_headers) == ("GET", b"", {"mmApiKey"})
    assert result.ok and words in result.detail and "in the background" in result.detail


@pytest.mark.parametrize(
    "given",
    [
        *(Response(status, {}, "") for status in (400, 401, 403)),
        lists(Error="API key missing"),
        lists(error="x"),
        answer({"error": "Unauthorized"}),
        answer({"success": False, "message": "Invalid API key"}),
        answer({"success": False, "message": "Invalid API key"}, 422),
        answer({"message": "Invalid API key, try again"}, 400),
    ],
)
def test_a_wrong_key_is_said_with_the_fix(given):
    _requests, result = verify(mailmodo, ACCOUNT, given)
    assert not result.ok and result.reachable
    assert "API key" in result.reason and "Settings > API Keys" in result.fix


@pytest.mark.parametrize(
    "given",
    [
        DOWN,
        *(Response(status, {}, "") for status in (301, 404, 408, 425, 429, 500, 503)),
        answer(GATEWAY, 404),
        answer({"message": "Too many requests"}, 400),
        answer("<html>"),
        answer(""),
        answer("[]"),
        answer({}),
        answer({"listDetails": None}),
        answer({"listDetails": {}}),
        answer({"listDetails": [], "success": False}),
        answer({"listDetails": []}, 201),
    ],
)
def test_a_busy_or_unreadable_provider_teaches_nothing_about_the_key(given):
    _requests, result = verify(mailmodo, ACCOUNT, given)
    assert not result.ok and not result.reachable and result.fix and result.reason


# --- The guide -------------------------------------------------------------------------------------------------------


def test_the_journey_names_the_event_and_the_launch_knows_its_facts():
    guide = mailmodo.guide
    assert [step for step in guide.journey.steps if "walletreward_create" in str(step) % {"event": "walletreward_create"}]
    assert {item.fact for item in guide.launch} - {""} == LAUNCH_FACTS
    keys = [item.key for item in guide.launch]
    assert len(keys) == len(set(keys)) and guide.journey.syntax_note and guide.caveats


def test_the_declared_contract():
    limits = mailmodo.limits
    assert (limits.records_per_call, limits.contacts_per_call, limits.bulk_in_flight) == (1, 100, 1)
    assert mailmodo.identify_first and mailmodo.fills_list and mailmodo.holds_attributes
    assert [key for key, _label in mailmodo.identities] == ["email"]
