"""What CleverTap refuses of a record, with the documented code, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.sandbox.tests.conftest import Client, event, profile


def data(**values: Any) -> dict[str, Any]:
    return event(evtData=values)


def test_a_mixed_batch_is_partial_and_names_the_record_by_its_number(client: Client) -> None:
    bad = event("dlv_02", evtName="")

    answer = client.upload(event("dlv_01"), bad, event("dlv_03")).json()

    assert (answer["status"], answer["processed"]) == ("partial", 2)
    assert answer["unprocessed"] == [
        {
            "status": "fail",
            "code": 509,
            "error": "Event Name is incorrect. ErrorCode: 509 - Event name is mandatory. Skipped record number : 2",
            "record": bad,
        }
    ]
    assert [record.delivery for record in client.sandbox.arrived("clevertap")] == ["dlv_01", "dlv_03"]
    assert [(r.delivery, r.code, r.number) for r in client.sandbox.refused("clevertap")] == [("dlv_02", "509", 2)]


def test_a_batch_without_a_good_record_fails(client: Client) -> None:
    answer = client.upload(event(evtName=None), event(ts=0)).json()

    assert (answer["status"], answer["processed"]) == ("fail", 0)
    assert [item["code"] for item in answer["unprocessed"]] == [509, 525]


RECORDED = [
    (
        event(evtName="App Launched"),
        513,
        "Event Name is incorrect. ErrorCode: 513 - Trying to raise a restricted system event. Skipped record number : 1",
    ),
    (event(ts=1786634590000), 525, "Timestamp should be present in the Unix Epoch format. Skipped record number : 1"),
    (profile(Email="asha"), 515, "Profile data is incorrect. Email is not valid.Skipped record number : 1"),
    (profile(Phone="+44+441234"), 516, "Profile data is incorrect. Phone number is not valid.Skipped record number : 1"),
]


@pytest.mark.parametrize(("record", "code", "text"), RECORDED)
def test_a_refusal_is_worded_as_recorded(client: Client, record: dict[str, Any], code: int, text: str) -> None:
    item = client.upload(record).json()["unprocessed"][0]

    assert (item["code"], item["error"]) == (code, text)


def test_the_echoed_record_is_not_what_was_sent(client: Client) -> None:
    record = {"type": "profile", "identity": 6937201, "profileData": {"Phone": "+35922333232", "Email": "asha"}}

    echo = client.upload(record).json()["unprocessed"][0]["record"]

    assert echo == {"type": "profile", "identity": "6937201", "profileData": {"Phone": 35922333232, "Email": "asha"}}


REFUSED = [
    (509, event(evtName=None)),
    (509, event(evtName="   ")),
    (509, event(evtName=7)),
    (512, event(evtName="50% off")),
    (512, event(evtName="x" * 513)),
    (512, event(evtData=[])),
    (512, event(evtData="text")),
    (512, data(nothing=None)),
    (512, data(nested={"a": 1})),
    (512, data(items=["a"])),
    (512, data(text="ä" * 257)),
    (512, data(text="x" * 513)),
    (512, data(text="\ud800")),
    (512, data(day="$D_1786634590000")),
    (512, data(day="$D_2026-08-13")),
    (512, data(**{"k" * 121: 1})),
    (512, data(**{"": 1})),
    (512, data(**{"a.b": 1})),
    (512, event(unknown=1)),
    (512, event(**{"$source": 1})),
    (512, event(evtName="Charged", evtData={"Items": ["a"]})),
    (512, event(evtName="Charged", evtData={"Items": [{"a": []}]})),
    (512, {"type": "profile", "identity": "1"}),
    (512, profile(**{"a#b": 1})),
    (512, profile(**{"ä" * 61: 1})),
    (512, profile(text="x" * 513)),
    (512, profile(nothing=None)),
    (512, profile(nested={"a": 1})),
    (512, profile(tags=["x"] * 101)),
    (512, profile(tags=[1])),
    (512, profile(**{"MSG-email": "no"})),
    (512, profile(DOB="1990-01-01")),
    (512, profile(Name=1)),
    (512, profile(**{f"k{i}": i for i in range(257)})),
    (513, event(evtName="app launched")),
    (513, event(evtName="NotificationClicked")),
    (513, event(evtName=" u t m visited ")),
    (513, event(evtName="Web Page Viewed")),
    (513, event(evtName="CT Points Credited")),
    (514, profile(Gender="female")),
    (515, profile(Email="asha@example")),
    (515, profile(Email=1)),
    (516, profile(Phone="9876543210")),
    (516, profile(Phone=919876543210)),
    (516, profile(Phone="+91 98765 43210")),
    (517, profile(Employed="maybe")),
    (518, profile(Education="Kindergarten")),
    (519, profile(Married="soon")),
    (520, profile(Age="old")),
    (520, profile(Age=0)),
    (520, profile(Age="²")),
    (522, data(**{f"k{i}": i for i in range(101)})),
    (523, event(identity=None)),
    (523, event(identity="")),
    (523, event(identity="  ")),
    (523, event(identity="x" * 1025)),
    (523, event(identity=True)),
    (523, event(identity=["1"])),
    (524, event(type=None)),
    (524, event(type="Event")),
    (524, event(type=["event"])),
    (524, "text"),
    (524, None),
    (525, event(ts=0)),
    (525, event(ts=-5)),
    (525, event(ts=1786634590000)),
    (525, event(ts="2026-08-13T15:23:10Z")),
    (525, event(ts="1786634590")),
    (525, event(ts=1786634590.5)),
    (525, event(ts=True)),
    (526, event(identity=None, objectId="")),
    (526, event(identity=None, objectId="a b")),
    (526, event(identity=None, objectId="x" * 65)),
]


@pytest.mark.parametrize(("code", "record"), REFUSED)
def test_a_wrong_record_is_refused_with_its_code(client: Client, code: int, record: Any) -> None:
    answer = client.upload(record).json()

    assert answer["status"] == "fail"
    assert [item["code"] for item in answer["unprocessed"]] == [code]
    assert answer["unprocessed"][0]["error"].endswith("Skipped record number : 1")
    assert client.sandbox.arrived("clevertap") == []
    assert client.sandbox.summary()["clevertap"]["refusals"] == {str(code): 1}


BANNED = """
undefined null na n/a 0 nil -1 infinity -infinity inf -inf nan -nan empty xxxxxx none None NULL
"""


@pytest.mark.parametrize("identity", [*BANNED.split(), 0, -1])
def test_a_word_that_names_nobody_is_no_identity(client: Client, identity: str | int) -> None:
    assert client.upload(event(identity=identity)).json()["unprocessed"][0]["code"] == 523


ACCEPTED = [
    event(identity=6937201),
    event(identity=None, objectId="__g1234"),
    event(identity=None, FBID="1"),
    event(ts=None),
    event(evtData=None),
    event(evtData={}),
    event(**{"$source": "Nector"}),
    event(evtName="My App Launched"),
    event(evtName="Charged", evtData={"Charged ID": 1, "Items": [{"name": "a", "price": 1.5}]}),
    data(number=1, share=0.5, flag=False, text="x" * 512, wide="ä" * 256, day="$D_1786634590"),
    data(**{"k" * 120: 1}),
    data(**{f"k{i}": i for i in range(100)}),
    profile(),
    profile(Name="Asha", Gender="F", DOB="$D_-86400", Age="28", Employed="Y", Education="Graduate", Married=False),
    profile(**{"MSG-email": False, "tags": ["a", "b"], "more": {"$add": ["c"]}, "nector_coin_balance": 120}),
]


@pytest.mark.parametrize("record", ACCEPTED)
def test_a_record_at_the_edge_of_the_contract_is_accepted(client: Client, record: dict[str, Any]) -> None:
    assert client.upload(record).json() == {"status": "success", "processed": 1, "unprocessed": []}


def test_a_discarded_event_is_refused_whatever_its_spelling() -> None:
    with Sandbox.running(discarded=["Wallet Coins Rewarded"]) as sandbox:
        answer = Client(sandbox).upload(event(evtName="walletcoins REWARDED"), event(evtName="Other")).json()

        assert [item["code"] for item in answer["unprocessed"]] == [528]
        assert [record.name for record in sandbox.arrived("clevertap")] == ["Other"]


def test_events_can_be_discarded_while_it_runs(client: Client) -> None:
    answer = client.own("POST", "/_sandbox/discarded", json=["Coupon Created"])

    assert answer.json() == {"discarded": ["Coupon Created"]}
    assert client.upload(event(evtName="coupon created")).json()["unprocessed"][0]["code"] == 528
    assert client.own("POST", "/_sandbox/discarded", json={"a": 1}).status_code == 400
