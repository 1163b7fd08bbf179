"""Imports at work: the ledger holds, every row counts once whatever is killed, and journeys start only when asked for."""

from __future__ import annotations

import io
import threading
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import retention, runs
from events.models import EventDelivery
from nectorbridge.loyalty import ledger, services, tasks
from nectorbridge.loyalty.imports import applying, storing, work
from nectorbridge.loyalty.imports.reading import Unreadable
from nectorbridge.loyalty.models import (
    Customer,
    ImportFault,
    ImportPart,
    ImportRun,
    LotUse,
    Wallet,
    WalletTransaction,
)
from nectorbridge.processes.housekeeping import Housekeeper
from nectorbridge.testing import make

HEAD = "email,mobile,points_balance,points_operation,expiry,reason,name,customer_id"


@pytest.fixture(autouse=True)
def rings(monkeypatch):
    rung = []
    monkeypatch.setattr("events.bell.async_task", lambda task, pk, **_options: rung.append((task, pk)))
    return rung


LINES = [f"p{number % 7}@b.example,,{number + 1},cr,,,," for number in range(20)]
WHOLE = sum(range(1, 21))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(storing, "ROWS_PER_PART", 3)


@pytest.fixture
def root(db):
    return get_user_model().objects.create_superuser("root")


def upload(shop, root, *lines, head=HEAD):
    content = "\n".join([head, *lines]).encode()
    return storing.take(shop, root, io.BytesIO(content), "people.csv", len(content))


def finish(run, journeys=False):
    assert work.start(run, run.asked_by, journeys)
    while work.work(run.pk):
        pass
    run.refresh_from_db()
    return run


def imported(shop, root, *lines, journeys=False, head=HEAD):
    run = finish(upload(shop, root, *lines, head=head), journeys)
    assert run.state == "done" and not run.parts.exists() and run.preview == {}
    assert_sound()
    return run


def assert_sound():
    assert not ledger.unbalanced().exists()
    for wallet in Wallet.objects.annotate(left=Sum("transactions__remaining")):
        assert wallet.balance == (wallet.left or 0)
        last = wallet.transactions.order_by("-id").first()
        assert last is None or last.balance_after == wallet.balance
    for debit in WalletTransaction.objects.filter(operation="dr").annotate(taken=Sum("consumed__amount")):
        assert debit.taken == debit.amount
    used = dict(LotUse.objects.values_list("lot").annotate(Sum("amount")))
    for lot in WalletTransaction.objects.filter(operation="cr"):
        assert lot.amount - lot.remaining == used.get(lot.pk, 0)


def faults(run):
    return [(fault.row, fault.column) for fault in run.faults.order_by("id")]


def balances():
    return {(wallet.customer.email or wallet.customer.phone): wallet.balance for wallet in Wallet.objects.all()}


# --- What becomes of rows --------------------------------------------------------------------------------------------------
def test_customers_wallets_and_coins_are_made_of_rows(shop, root):
    known = Customer.objects.create(merchant=shop, email="Asha@Example.com")
    services.credit(known, 10)
    run = imported(
        shop,
        root,
        "asha@example.com,+919876543210,250,cr,2099-12-31,Welcome,Asha Rao,shopify-7",
        "ravi@example.com,,40,,,,,",
        ",+91 98123 45678,15,cr,,,,",
        ",+919876543210,60,dr,,Correction,,",
        "RAVI@example.com,,2,cr,,,Ravi,",
    )
    known.refresh_from_db()
    assert (known.name, known.phone, known.customer_id, known.nector_id) == ("Asha Rao", "+919876543210", "7", "shopify-7")
    assert known.email == "Asha@Example.com", "what is known stays"
    assert Customer.objects.get(email="ravi@example.com").name == "Ravi"
    assert balances() == {"Asha@Example.com": 200, "ravi@example.com": 42, "+919812345678": 15}
    entries = list(
        known.wallet.transactions.order_by("id").values_list("operation", "amount", "balance_after", "title", "remaining")
    )
    assert entries == [("cr", 10, 10, "", 10), ("cr", 250, 260, "Welcome", 190), ("dr", 60, 200, "Correction", 0)]
    counts = (run.rows, run.done, run.created, run.filled, run.credited, run.debited, run.coins_in, run.coins_out, run.failed)
    assert counts == (5, 5, 2, 1, 4, 1, 307, 60, 0)


def test_bad_rows_fail_alone_and_are_written_down(shop, root):
    run = imported(shop, root, "nobody,,5,cr,,,,", "a@b.example,,5,cr,,,,", "a@b.example,,6,dr,,,,", "new@b.example,,1,dr,,,,")
    assert balances() == {"a@b.example": 5} and Customer.objects.count() == 1, "an error makes nobody"
    assert faults(run) == [(2, "email"), (4, "points_balance"), (5, "points_balance")]
    assert (run.done, run.failed, run.credited, run.debited) == (4, 3, 1, 0)
    assert "only 5" in run.faults.get(row=4).message


def test_a_customer_is_found_as_webhooks_find_one(shop, root):
    first = Customer.objects.create(merchant=shop, customer_id="custom-1", email="same@b.example")
    free = Customer.objects.create(merchant=shop, email="same@b.example")
    other = Customer.objects.create(merchant=make.merchant("other"), email="same@b.example", customer_id="9")
    imported(
        shop,
        root,
        "elsewhere@b.example,,1,cr,,,,shopify-1",
        "same@b.example,,2,cr,,,,2",
        "same@b.example,,4,cr,,,,3",
        "same@b.example,,8,cr,,,,",
    )
    free.refresh_from_db()
    assert (first.wallet.balance, free.wallet.balance, free.customer_id) == (9, 2, "2")
    assert Customer.objects.get(customer_id="3").wallet.balance == 4, "another ID is somebody else"
    assert not Wallet.objects.filter(customer=other).exists()


def test_letters_beyond_ascii_are_found_in_any_case(shop, root):
    Customer.objects.create(merchant=shop, email="RENÉ@b.example")
    imported(shop, root, "rené@b.example,,1,cr,,,,", "RENé@b.example,,2,cr,,,,", "RENÉ@B.EXAMPLE,,4,cr,,,,")
    assert balances() == {"RENÉ@b.example": 7}


def test_debits_take_what_expires_first_and_what_is_over_is_taken_back(shop, root):
    now, customer = timezone.now(), Customer.objects.create(merchant=shop, email="a@b.example")
    gone = services.credit(customer, 7, "Old", expires_at=now - timedelta(days=1))
    never = services.credit(customer, 10)
    late = services.credit(customer, 10, expires_at=now + timedelta(days=60))
    run = imported(shop, root, "a@b.example,,5,cr,3,,,", "a@b.example,,12,dr,,,,", "a@b.example,,99,dr,,,,")
    left = dict(WalletTransaction.objects.filter(operation="cr").values_list("pk", "remaining"))
    soon = WalletTransaction.objects.get(amount=5)
    assert left == {gone.pk: 0, never.pk: 10, late.pk: 3, soon.pk: 0}
    expired = WalletTransaction.objects.get(kind="expiry")
    assert (expired.amount, expired.balance_after, expired.title) == (7, 25, "Old")
    assert balances() == {"a@b.example": 13} and "only 13" in run.faults.get().message


def test_a_refused_debit_leaves_even_what_is_over_alone(shop, root):
    customer = Customer.objects.create(merchant=shop, email="a@b.example")
    services.credit(customer, 7, expires_at=timezone.now() - timedelta(days=1))
    imported(shop, root, "a@b.example,,1,dr,,,,")
    assert balances() == {"a@b.example": 7} and not WalletTransaction.objects.filter(operation="dr").exists()


def test_a_wallet_that_would_overflow_and_one_that_is_unsound_are_errors_of_their_rows(shop, root):
    rich = ledger.open_wallet(Customer.objects.create(merchant=shop, email="rich@b.example").pk)
    odd = ledger.open_wallet(Customer.objects.create(merchant=shop, email="odd@b.example").pk)
    Wallet.objects.filter(pk=rich.pk).update(balance=9 * 10**18)
    Wallet.objects.filter(pk=odd.pk).update(balance=50)
    run = finish(upload(shop, root, "rich@b.example,,1,cr,,,,", "odd@b.example,,1,dr,,,,", "a@b.example,,1,cr,,,,"))
    assert faults(run) == [(2, "points_balance"), (3, "points_balance")] and run.credited == 1


def test_what_our_own_code_fails_on_costs_one_row(shop, root, monkeypatch):
    move = applying._move

    def broken(people, posting, row):
        if row.amount == 13:
            raise ZeroDivisionError
        return move(people, posting, row)

    monkeypatch.setattr(applying, "_move", broken)
    run = imported(shop, root, "a@b.example,,1,cr,,,,", "b@b.example,,13,cr,,,,", "a@b.example,,2,cr,,,,")
    assert balances() == {"a@b.example": 3} and faults(run) == [(3, "")]
    assert (run.created, run.credited, run.done, run.failed) == (1, 2, 3, 1)


def test_errors_beyond_ten_thousand_are_counted(shop, root, monkeypatch):
    monkeypatch.setattr(work, "MOST_FAULTS", 3)
    run = imported(shop, root, *["nobody,,5,cr,,,,"] * 8)
    assert (run.faults.count(), run.faults_kept, run.faults_lost, run.failed) == (3, 3, 5, 8)


# --- What is announced -----------------------------------------------------------------------------------------------------
@pytest.fixture
def events_on(shop):
    integration = make.integration(shop, common_property="email")
    for trigger in ("walletreward_create", "coins_redeemed", "lead_create", "lead_update"):
        make.definition(integration, trigger=trigger, name=trigger.replace("_", " "))


ROWS = ("a@b.example,,50,cr,30,Hello,,", "a@b.example,,20,dr,,,Asha,", "b@b.example,,1,cr,,,,")


@pytest.mark.parametrize(("journeys", "states"), [(False, {("skipped", "backfill")}), (True, {("queued", "")})])
def test_history_starts_no_journeys_unless_asked(shop, root, events_on, journeys, states, rings):
    known = Customer.objects.create(merchant=shop, email="b@b.example")
    EventDelivery.objects.all().delete()
    rings.clear()
    imported(shop, root, *ROWS[:2], "b@b.example,,1,cr,,,Ben,", journeys=journeys)
    rows = EventDelivery.objects.all()
    assert {(row.status, row.reason) for row in rows} == states
    assert sorted(row.trigger for row in rows) == [
        "coins_redeemed",
        "lead_create",
        "lead_update",
        "walletreward_create",
        "walletreward_create",
    ]
    assert all(row.is_backfill is not journeys for row in rows)
    told = EventDelivery.objects.get(trigger="walletreward_create", customer_ref=known.ref)
    assert (told.payload["coins"], told.payload["balance"], told.recipient["name"]) == (1, 1, "Ben")


def test_it_says_what_saving_one_by_one_would_say(shop, root, events_on):
    imported(shop, root, ROWS[0])
    one = EventDelivery.objects.get(trigger="walletreward_create")
    entry = WalletTransaction.objects.get()
    services.credit(entry.wallet.customer, 50, "Hello", expires_at=entry.expires_at)
    other = EventDelivery.objects.filter(trigger="walletreward_create").exclude(pk=one.pk).get()
    own = ("balance", "transaction_id", "nector_click_url", "nector_open_url", "nector_delivery_id")
    ours, theirs = ({k: v for k, v in row.payload.items() if k not in own} for row in (one, other))
    assert ours == theirs and ours["coins"] == 50 and ours["title"] == "Hello" and set(one.payload) == set(other.payload)
    assert one.recipient == other.recipient and one.customer_ref == other.customer_ref


def test_journeys_wait_for_a_provider_that_has_enough_to_do(shop, root, events_on, small, monkeypatch):
    monkeypatch.setattr("events.runs.FEWEST_AHEAD", 5)
    monkeypatch.setattr("events.runs.MOST_AHEAD", 5)
    run = upload(shop, root, *LINES)
    work.start(run, root, True)
    assert work.work(run.pk) == 3, "the first part filled the queue"
    run.refresh_from_db()
    assert run.next_at > timezone.now() and "It waits until CleverTap" in run.message
    EventDelivery.objects.update(status="sent")
    ImportRun.objects.update(next_at=timezone.now())
    assert work.work(run.pk) == 3


def test_nothing_is_built_where_nobody_listens(shop, root, monkeypatch):
    built = []
    monkeypatch.setattr("events.record_many", lambda activities: built.extend(activities))
    imported(shop, root, *ROWS)
    assert not built and Wallet.objects.count() == Customer.objects.count() > 0


def test_a_milestone_is_reached_by_imported_coins_although_no_event_tells_of_the_coins(shop, root):
    make.definition(make.integration(shop, common_property="email"), trigger="milestone_reached", threshold=100)
    run = upload(shop, root, "far@example.com,,99,cr", "there@example.com,,100,cr")
    work.start(run, root, True)
    work.work(run.pk)
    assert [row.recipient["email"] for row in EventDelivery.objects.all()] == ["there@example.com"]


# --- Cut off ---------------------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """As kill -9: nothing of ours catches it."""


@pytest.mark.parametrize(
    "place", ["people.People.write", "ledger_many.Posting.write", "imports.work._keep", "models.ImportPart.delete"]
)
@pytest.mark.parametrize("nth", [1, 3])
def test_a_worker_that_is_killed_anywhere_loses_and_doubles_nothing(shop, root, small, monkeypatch, place, nth):
    room, _dot, name = place.rpartition(".")
    target = {
        "people.People": "nectorbridge.loyalty.imports.people.People",
        "ledger_many.Posting": "nectorbridge.loyalty.ledger_many.Posting",
        "imports.work": "nectorbridge.loyalty.imports.work",
        "models.ImportPart": "nectorbridge.loyalty.models.ImportPart",
    }[room]
    run, calls = upload(shop, root, *LINES), []
    assert work.start(run, root, False)
    with monkeypatch.context() as patch:
        patch.setattr(f"{target}.{name}", _killing(target, name, calls, nth))
        with pytest.raises(Killed):
            work.work(run.pk)
    run.refresh_from_db()
    assert run.done == 3 * (nth - 1) and run.position == nth - 1
    ImportRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1), lease_owner="dead")
    assert work.ring_for_due() == 1
    while work.work(run.pk):
        pass
    run.refresh_from_db()
    assert (run.state, run.done, run.coins_in) == ("done", 20, WHOLE)
    assert Wallet.objects.aggregate(n=Sum("balance"))["n"] == WHOLE
    assert_sound()


def _killing(target, name, calls, nth):
    from django.utils.module_loading import import_string

    try:
        real = getattr(import_string(target), name)
    except ImportError:
        real = import_string(f"{target}.{name}")

    def killing(*args, **kwargs):
        calls.append(1)
        if len(calls) == nth:
            real(*args, **kwargs)
            raise Killed
        return real(*args, **kwargs)

    return killing


def test_a_second_worker_takes_over_only_after_the_lease_and_the_first_then_does_nothing(shop, root, small):
    run = upload(shop, root, *LINES)
    work.start(run, root, False)
    assert work.RUNS.lease(run.pk, "first")
    assert work.work(run.pk) == 0 and not Wallet.objects.exists()
    ImportRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    stale = ImportRun.objects.select_related("merchant").get(pk=run.pk)
    assert work.work(run.pk) == 20
    assert work._part(stale, "first", None) is None
    assert Wallet.objects.aggregate(n=Sum("balance"))["n"] == WHOLE


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_do_every_row_once(small, monkeypatch):
    monkeypatch.setattr("events.runs.Runs.lease", lambda runs, pk, owner: True)  # as if both believed that it is theirs
    monkeypatch.setattr("events.runs.new_owner", lambda: "both")
    shop, root = make.merchant("shop"), get_user_model().objects.create_superuser("root")
    run = upload(shop, root, *LINES)
    work.start(run, root, False)
    ImportRun.objects.update(lease_owner="both")
    wrong = []

    def one():
        try:
            while ImportPart.objects.exists():
                work.work(run.pk)
                ImportRun.objects.update(lease_owner="both")
        except Exception as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    run.refresh_from_db()
    assert not wrong and run.done == 20 and run.coins_in == WHOLE
    assert Wallet.objects.aggregate(n=Sum("balance"))["n"] == WHOLE
    assert_sound()


def test_a_lost_bell_is_rung_again_and_a_turn_ends_in_time(shop, root, small, monkeypatch, rings):
    run = upload(shop, root, *LINES)
    assert work.ring_for_due() == 0, "a draft waits for a person"
    work.start(run, root, False)
    assert work.ring_for_due() == 1 and work.ring_for_due() == 0 and rings[-1] == (work.WORK_TASK, run.pk)
    monkeypatch.setattr(work, "TURN_SECONDS", 0.0)
    assert tasks.work_on_import(run.pk) == 3, "one part, and the next turn is asked for"
    run.refresh_from_db()
    assert run.rung_at is not None and run.lease_until is None


def test_every_worker_rings_for_imports_that_wait(shop, root, rings):
    run = upload(shop, root, *ROWS)
    work.start(run, root, False)
    housekeeper = Housekeeper("test")
    (chore,) = [one for one in housekeeper.rounds.chores if "imports" in one.what]
    chore.do()
    assert rings == [(work.WORK_TASK, run.pk)]


def test_a_database_that_goes_away_is_not_held_against_the_import(shop, root, monkeypatch):
    from django.db import OperationalError

    run = upload(shop, root, *ROWS)
    work.start(run, root, False)
    with monkeypatch.context() as patch:
        patch.setattr("nectorbridge.loyalty.imports.applying.People", _raising(OperationalError))
        assert tasks.work_on_import(run.pk) == 0
    run.refresh_from_db()
    assert (run.state, run.failures, run.done) == ("running", 0, 0)
    assert work.work(run.pk) == 3


def test_an_error_of_ours_is_tried_again_and_ends_the_import_at_last(shop, root, monkeypatch):
    run = upload(shop, root, *ROWS)
    work.start(run, root, False)
    monkeypatch.setattr(storing, "unpacked", _raising(ZeroDivisionError))
    for failures in range(1, runs.PATIENCE):
        assert work.work(run.pk) == 0
        run.refresh_from_db()
        assert (run.failures, run.state) == (failures, "running") and run.next_at > timezone.now()
        ImportRun.objects.update(next_at=timezone.now())
    work.work(run.pk)
    run.refresh_from_db()
    assert run.state == "stopped" and "error of ours" in run.message and not run.parts.exists()


def _raising(error):
    def fail(*_args, **_kwargs):
        raise error

    return fail


def test_it_stops_where_it_is_and_where_nobody_may_act_any_more(shop, root, small, monkeypatch):
    monkeypatch.setattr(work, "TURN_SECONDS", 0.0)
    run = upload(shop, root, *LINES)
    work.start(run, root, False)
    work.work(run.pk)
    assert work.stop(run) and not work.stop(run) and work.work(run.pk) == 0
    run.refresh_from_db()
    assert (run.state, run.done) == ("stopped", 3) and not ImportPart.objects.exists()
    other = upload(shop, root, *LINES)
    work.start(other, root, False)
    get_user_model().objects.update(is_active=False)
    assert work.work(other.pk) == 0
    other.refresh_from_db()
    assert other.state == "stopped" and "may no longer act" in other.message


# --- Files -----------------------------------------------------------------------------------------------------------------
def test_a_file_that_is_too_large_or_empty_leaves_nothing(shop, root, settings, small, monkeypatch):
    settings.IMPORT_MAX_MEGABYTES = 0.0001
    with pytest.raises(Unreadable, match="MB"):
        upload(shop, root, *LINES)
    settings.IMPORT_MAX_MEGABYTES = 20
    with pytest.raises(Unreadable, match="empty"):
        storing.take(shop, root, io.BytesIO(b""), "x.csv", 0)
    with pytest.raises(Unreadable, match="no row below"):
        upload(shop, root)
    monkeypatch.setattr(storing, "MOST_ROWS", 5)
    with pytest.raises(Unreadable, match="more than 5 rows"):
        upload(shop, root, *LINES)
    assert not ImportRun.objects.exists()


def test_an_upload_that_breaks_off_leaves_nothing(shop, root, small, monkeypatch):
    monkeypatch.setattr(storing, "packed", _raising(Killed))
    with pytest.raises(Killed):
        upload(shop, root, *LINES)
    assert not ImportRun.objects.exists()


def test_drafts_are_forgotten_after_two_days_and_imports_go_with_the_payloads(shop, root, settings):
    draft, run = upload(shop, root, *ROWS), imported(shop, root, "nobody,,1,cr,,,,")
    ImportRun.objects.update(created_at=timezone.now() - timedelta(days=3))
    work.ring_for_due()
    assert (
        list(ImportRun.objects.values_list("pk", flat=True)) == [run.pk] and not ImportPart.objects.filter(run=draft.pk).exists()
    )
    settings.RETENTION_PAYLOAD_DAYS = 2
    assert dict(retention.batches())["imports"] and not ImportRun.objects.exists() and not ImportFault.objects.exists()


def test_the_preview_says_what_the_import_then_does(shop, root, small):
    services.credit(Customer.objects.create(merchant=shop, email="p0@b.example"), 5)
    run = upload(shop, root, *LINES, "nobody,,1,cr,,,,", "P1@b.example,,2,dr,,,,")
    found = run.preview
    assert (run.rows, found["looked"], found["bad"], found["new"]) == (22, 22, 1, 6)
    assert (found["coins_in"], found["coins_out"], len(found["shown"])) == (WHOLE, 2, 20)
    assert [fault["row"] for fault in found["faults"]] == [22]
    assert Customer.objects.count() == 1, "nothing is written by looking"
    finish(run)
    assert (run.created, run.coins_in, run.coins_out, run.failed) == (6, WHOLE, 2, 1)


def test_a_part_takes_a_handful_of_statements(shop, root, django_assert_max_num_queries):
    lines = [f"q{n}@b.example,+9198765{n:05d},{n + 1},cr,,,," for n in range(40)] + ["q1@b.example,,1,dr,,,,"]
    run = upload(shop, root, *lines)
    work.start(run, root, False)
    with django_assert_max_num_queries(45):
        work.work(run.pk)
    assert connection.vendor and Wallet.objects.count() == 40


# --- Anything --------------------------------------------------------------------------------------------------------------
PEOPLE = st.sampled_from(
    ["a@b.example", "A@b.example", "b@b.example", ",+919876543210", "c@b.example,+919876543210", "nobody", ""]
)
MOVES = st.tuples(
    PEOPLE, st.integers(-1, 40), st.sampled_from(["cr", "dr", "dr", "x", ""]), st.sampled_from(["", "", "3", "2099-01-01", "9"])
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MOVES, max_size=25), st.integers(1, 7))
def test_whatever_a_file_says_the_sums_are_right(shop, root, monkeypatch, moves, size):
    monkeypatch.setattr(storing, "ROWS_PER_PART", size)
    before = {row.pk: row.balance for row in Wallet.objects.all()}
    lines = []
    for who, amount, operation, expiry in moves:
        email, _comma, mobile = who.partition(",")
        lines.append(f"{email},{mobile},{amount},{operation},{expiry},,,")
    if not lines:
        return
    run = finish(upload(shop, root, *lines))
    assert run.state == "done" and run.done == run.rows == len(lines)
    assert run.credited + run.debited + run.failed == run.done
    moved = sum(row.balance for row in Wallet.objects.all()) - sum(before.values())
    assert moved == run.coins_in - run.coins_out
    assert_sound()
