"""The pages of imports: upload, what a file would do, start, progress, errors; for those who may."""

from __future__ import annotations

import csv
import html
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from nectorbridge.loyalty.imports import work
from nectorbridge.loyalty.models import Customer, ImportRun, Wallet
from nectorbridge.loyalty.tests.conftest import login
from nectorbridge.testing import make

UPLOAD = reverse("admin:loyalty_import_upload")
LIST = reverse("admin:loyalty_importrun_changelist")
GOOD = (
    "email,mobile,points_balance,points_operation,shelf\n"
    "asha@example.com,,250,cr,x\n<b>bold</b>,,1,cr,x\n=cmd@b.example,,0,cr,x\n"
)


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr("events.bell.async_task", lambda *_args, **_kwargs: None)


def send(client, content=GOOD, name="people.csv", **more):
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, content.encode()), **more})


def verb(name, run):
    return reverse(f"admin:loyalty_import_{name}", args=[run.pk])


def change(run):
    return reverse("admin:loyalty_importrun_change", args=[run.pk])


def text(answer):
    return html.unescape(b"".join(answer).decode() if answer.streaming else answer.content.decode())


def test_from_an_empty_list_to_the_result(owner, shop, customer):
    customers = text(owner.get(reverse("admin:loyalty_customer_changelist")))
    assert reverse("admin:loyalty_customer_open_imports") in customers
    assert "Nothing was imported yet" in text(owner.get(LIST)) and UPLOAD in text(owner.get(LIST))
    assert "points_operation" in text(owner.get(UPLOAD))
    answer = send(owner)
    run = ImportRun.objects.get()
    assert answer.url == change(run) and not Wallet.objects.exists()

    raw = owner.get(change(run)).content.decode()
    assert "&lt;b&gt;bold" in raw and "<b>bold" not in raw
    shown = html.unescape(raw)
    assert "Points in" in shown and "+250" in shown and "shelf" in shown and "This is no email address." in shown
    assert "Start import" in shown and "(new)" not in shown

    owner.post(verb("start", run))
    assert "Running" in text(owner.get(change(run))) and verb("stop", run) in text(owner.get(change(run)))
    assert owner.get(verb("progress", run)).json()["words"] == "0 of 3 rows"
    assert "Running" in text(owner.get(LIST))
    work.work(run.pk)
    assert customer.wallet.balance == 250
    shown = text(owner.get(change(run)))
    assert "2 rows were left out" in shown and "Download the errors" in shown and verb("stop", run) not in shown
    progress = owner.get(verb("progress", run)).json()
    assert (progress["over"], progress["share"], progress["words"]) == (True, 100, "3 rows")

    rows = list(csv.reader(io.StringIO(text(owner.get(verb("errors", run))).lstrip("\ufeff"))))
    assert rows[1:] == [
        ["3", "email", "This is no email address.", "<b>bold</b>"],
        ["4", "points_balance", "It must be a whole number above zero, without separators.", "0"],
    ]


def test_what_a_spreadsheet_would_compute_is_defused_in_the_errors(owner, shop):
    send(owner, "email,points_balance\n=1+1,5\n")
    run = ImportRun.objects.get()
    owner.post(verb("start", run))
    work.work(run.pk)
    assert "'=1+1" in text(owner.get(verb("errors", run)))


def test_the_very_same_file_twice_is_warned_of(owner, shop):
    send(owner)
    first = ImportRun.objects.get()
    assert "very same file" not in text(owner.get(change(first)))
    owner.post(verb("start", first))
    send(owner)
    shown = text(owner.get(change(ImportRun.objects.first())))
    assert "The very same file was imported on" in shown and change(first) in shown


@pytest.mark.parametrize(("ticked", "starts"), [({}, False), ({"starts_journeys": "on"}, True)])
def test_journeys_start_only_where_that_is_ticked_and_a_click_counts_once(owner, shop, ticked, starts):
    send(owner)
    run = ImportRun.objects.get()
    owner.post(verb("start", run), ticked)
    owner.post(verb("start", run), {"starts_journeys": "on"})
    run.refresh_from_db()
    assert run.starts_journeys is starts and run.state == "running"


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "empty"), ("hello", "first row must name"), ("email,points_balance\n", "no row below"), (None, "Choose a file first")],
)
def test_a_file_that_cannot_be_imported_is_refused_with_the_reason(owner, shop, content, words):
    answer = owner.post(UPLOAD, {}) if content is None else send(owner, content)
    assert answer.status_code == 400 and words in text(answer)
    assert not ImportRun.objects.exists()


def test_a_file_over_the_limit_is_refused_and_a_large_one_read_from_disk(owner, shop, settings):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10
    assert send(owner).status_code == 302
    settings.IMPORT_MAX_MEGABYTES = 0.00001
    assert "at most 1e-05 MB" in text(send(owner))


def test_get_changes_nothing_and_a_draft_can_be_forgotten(owner, shop):
    send(owner)
    run = ImportRun.objects.get()
    for name in ("start", "stop", "discard"):
        assert owner.get(verb(name, run)).status_code == 302
    run.refresh_from_db()
    assert run.state == "draft"
    assert owner.post(verb("discard", run)).url == LIST and not ImportRun.objects.exists()


def test_a_run_can_be_stopped_and_not_discarded(owner, shop):
    send(owner)
    run = ImportRun.objects.get()
    owner.post(verb("start", run))
    owner.post(verb("discard", run))
    owner.post(verb("stop", run))
    run.refresh_from_db()
    assert run.state == "stopped" and "Stopped by hand" in text(owner.get(change(run)))


def test_viewers_look_and_strangers_see_nothing(owner, viewer, stranger, shop):
    send(owner)
    run = ImportRun.objects.get()
    assert "Start import" not in text(viewer.get(change(run))) and "people.csv" in text(viewer.get(LIST))
    assert viewer.get(UPLOAD).status_code == 403 and send(viewer).status_code == 403
    assert "Import a file" not in text(viewer.get(LIST))
    for name in ("start", "stop", "discard"):
        assert viewer.post(verb(name, run)).status_code == 403
        assert stranger.post(verb(name, run)).status_code == 404
    for address in (change(run), verb("progress", run), verb("errors", run)):
        assert viewer.get(address).status_code == 200 and stranger.get(address).status_code == 404
    assert "people.csv" not in text(stranger.get(LIST))
    assert send(stranger, merchant=shop.pk).status_code == 404
    assert ImportRun.objects.get().state == "draft"


def test_of_several_merchants_one_is_chosen(shop, db):
    other = make.merchant("other")
    client = login("both", shop)
    from django.contrib.auth import get_user_model

    from integrations.models import Membership

    Membership.objects.create(merchant=other, user=get_user_model().objects.get(), role="manager")
    assert "Other" in text(client.get(UPLOAD))
    send(client, merchant=other.pk)
    run = ImportRun.objects.get()
    assert run.merchant == other
    client.post(verb("start", run))
    work.work(run.pk)
    assert Customer.objects.get().merchant == other


def test_the_sample_is_a_file_that_can_be_imported(owner, shop):
    content = text(owner.get(reverse("admin:loyalty_import_sample")))
    assert content.startswith("\ufeffemail,mobile,points_balance")
    send(owner, content)
    run = ImportRun.objects.get()
    assert run.rows == 3 and run.preview["bad"] == 0
