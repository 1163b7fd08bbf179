"""Key rotation as a run: resumed after a kill, one at a time, never backwards, and the command is the same code."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from events import bell, rotating, sweep, tasks
from events.models import KeyRotation
from integrations import rotation
from integrations.models import Act, AuditEntry, Integration, Merchant
from integrations.rotation import State
from nectorbridge.testing import make

OLD, NEW = "o" * 40, "n" * 40


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Batches of three, and turns of one batch."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 3)
    monkeypatch.setattr(rotating, "TURN_SECONDS", 0.0)


@pytest.fixture
def shops(db, use_keys):
    """Seven integrations whose credentials are under a key that is about to go."""
    use_keys(OLD)
    rows = [make.integration(make.merchant(f"shop-{number}")) for number in range(7)]
    use_keys(NEW, OLD)
    return rows


@pytest.fixture
def rings(monkeypatch) -> list[int]:
    """Return the rotations of which a turn was asked for."""
    asked: list[int] = []
    monkeypatch.setattr(bell, "async_task", lambda task, pk, **_more: asked.append(pk) if task == bell.ROTATE_TASK else None)
    return asked


def states() -> list[str]:
    return sorted(found.state for column in rotation.columns() for found in rotation.survey(column))


def told(run) -> list[str]:
    trail = AuditEntry.objects.filter(act=Act.ROTATE, subject_key=str(run.pk)).order_by("pk")
    return [entry.details["result"] for entry in trail]


def finish(run, most=40) -> KeyRotation:
    for _turn in range(most):
        tasks.rotate_keys(run.pk)
        run.refresh_from_db()
        if run.state != "running":
            return run
    raise AssertionError("it does not end")


def test_a_run_says_who_began_it_how_far_it_is_and_how_it_ended(shops, admin_user, rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        run = rotating.start(admin_user)
    assert (run.asked_by, run.total, run.handled, run.state, rings) == (admin_user, 7, 0, "running", [run.pk])
    assert run.key == rotation.fingerprints()[0] and NEW not in f"{run.key} {run.ring}"
    assert tasks.rotate_keys(run.pk) == 3
    run.refresh_from_db()
    assert (run.handled, run.written, run.state) == (3, 3, "running")
    assert states() == [State.CURRENT] * 3 + [State.FORMER] * 4
    finish(run)
    assert (run.state, run.total, run.handled, run.written, run.former, run.unreadable) == ("done", 7, 7, 7, 0, 0)
    assert run.ended_at and states() == [State.CURRENT] * 7
    assert told(run) == ["started", "done"]
    assert {entry.actor_id for entry in AuditEntry.objects.filter(act=Act.ROTATE)} == {admin_user.pk}


@pytest.mark.parametrize("swaps", [1, 5])
def test_a_worker_that_is_killed_in_a_batch_leaves_a_run_that_the_sweep_goes_on_with(shops, monkeypatch, rings, swaps):
    class Killed(BaseException):
        """As with -9: nothing is tidied up but what the process held in memory."""

    run, swap, left = rotating.start(), rotation._swap, iter(range(swaps))

    def killed(column, row):
        if next(left, None) is None:
            raise Killed
        return swap(column, row)

    monkeypatch.setattr(rotation, "_swap", killed)
    with pytest.raises(Killed):
        for _turn in range(9):
            rotating.work(run.pk)
    KeyRotation.objects.update(lease_owner="gone", lease_until=timezone.now() + timedelta(seconds=60))  # -9 frees no lease
    monkeypatch.setattr(rotation, "_swap", swap)
    assert states().count(State.CURRENT) == swaps
    run.refresh_from_db()
    assert run.handled == swaps // 3 * 3, "what was looked at and noted stays so"
    assert tasks.rotate_keys(run.pk) == 0, "somebody may still have it"

    KeyRotation.objects.update(lease_until=timezone.now() - timedelta(seconds=1), next_at=timezone.now(), rung_at=None)
    rings.clear()
    sweep.sweep()
    assert rings == [run.pk]
    finish(run)
    assert (run.state, run.handled) == ("done", 7) and states() == [State.CURRENT] * 7


def test_there_is_one_at_a_time_and_a_stopped_one_goes_on_where_it_was(shops, admin_user):
    run = rotating.start(admin_user)
    assert rotating.start().pk == run.pk
    tasks.rotate_keys(run.pk)
    assert rotating.stop(run, user=admin_user) and not rotating.stop(run)
    assert tasks.rotate_keys(run.pk) == 0 and states().count(State.CURRENT) == 3
    again = rotating.start()
    assert (again.pk, again.handled, again.state) == (run.pk, 3, "running") and KeyRotation.objects.count() == 1
    finish(again)
    assert told(run) == ["started", "stopped", "resumed", "done"]
    assert rotating.start().pk != run.pk


def test_a_process_with_the_former_order_of_keys_encrypts_nothing_backwards(shops, use_keys):
    run = rotating.start()
    tasks.rotate_keys(run.pk)
    use_keys(OLD, NEW)
    assert tasks.rotate_keys(run.pk) == 0
    run.refresh_from_db()
    assert "restart web server and workers" in run.message and run.state == "running"
    use_keys(NEW, OLD)
    assert states().count(State.CURRENT) == 3
    KeyRotation.objects.update(next_at=timezone.now())
    assert finish(run).state == "done"


def test_where_the_keys_were_changed_meanwhile_a_new_run_begins(shops, use_keys):
    run = rotating.start()
    tasks.rotate_keys(run.pk)
    use_keys("x" * 40, NEW, OLD)
    new = rotating.start()
    run.refresh_from_db()
    assert (run.state, new.handled, new.pk == run.pk) == ("stopped", 0, False) and "were changed" in run.message
    assert finish(new).written == 7


def test_what_others_write_under_a_former_key_meanwhile_is_found_by_another_look(shops, use_keys):
    run = rotating.start()
    tasks.rotate_keys(run.pk)
    use_keys(OLD)
    shops[0].secrets = {"private_api_key": "CANARY-TYPED-MEANWHILE"}  # by a process that has not been restarted
    shops[0].save(update_fields=["sealed_secrets"])
    use_keys(NEW, OLD)
    assert finish(run).written == 8 and run.passes == 3 and states() == [State.CURRENT] * 7


def test_what_cannot_be_read_is_named_with_the_page_where_it_is_entered_again(shops):
    Integration.objects.filter(pk=shops[5].pk).update(sealed_secrets="not bound to anything")
    Merchant.objects.filter(pk=shops[6].merchant_id).update(sealed_nector_secrets="nor this")
    run = finish(rotating.start())
    assert (run.state, run.unreadable, run.written) == ("done", 2, 6)
    assert {(found.pk, found.why) for found in rotating.lost_of(run)} == {
        (str(shops[5].pk), "It is damaged."),
        (str(shops[6].merchant_id), "It is damaged."),
    }
    pages = {found.entered_at for found in rotating.lost_of(run)}
    assert f"/admin/integrations/integration/{shops[5].pk}/change/" in pages


def test_an_error_of_ours_is_tried_again_and_ends_the_run_after_a_few(shops, monkeypatch):
    run = rotating.start()
    monkeypatch.setattr(rotation, "_swap", lambda _column, _row: 1 / 0)
    for _turn in range(5):
        KeyRotation.objects.update(next_at=timezone.now())
        assert tasks.rotate_keys(run.pk) == 0
    run.refresh_from_db()
    assert run.state == "stopped" and "error of ours" in run.message


# --- The command ---------------------------------------------------------------------------------------------------------
def test_the_command_goes_on_with_a_run_that_a_page_began(shops, admin_user, capsys):
    run = rotating.start(admin_user)
    tasks.rotate_keys(run.pk)
    call_command("rotatekeys")
    said = capsys.readouterr().out
    assert "3 of 7 are done" in said and "Every secret is under the first key." in said
    run.refresh_from_db()
    assert (run.state, run.written, KeyRotation.objects.count()) == ("done", 7, 1)


def test_the_command_that_is_interrupted_stops_the_run_and_the_next_one_goes_on(shops, monkeypatch, capsys):
    work, turns = rotating.work, iter(range(1))

    def interrupted(pk):
        if next(turns, None) is None:
            raise KeyboardInterrupt
        return work(pk)

    monkeypatch.setattr(rotating, "work", interrupted)
    with pytest.raises(SystemExit):
        call_command("rotatekeys")
    assert "The next run goes on from here." in capsys.readouterr().out
    assert (KeyRotation.objects.get().state, states().count(State.CURRENT)) == ("stopped", 3)
    monkeypatch.setattr(rotating, "work", work)
    call_command("rotatekeys")
    assert "3 of 7 are done" in capsys.readouterr().out and states() == [State.CURRENT] * 7
    assert told(KeyRotation.objects.get()) == ["started", "stopped", "resumed", "done"]


def test_the_command_waits_for_a_worker_that_has_the_run(shops, monkeypatch, capsys):
    run = rotating.start()
    KeyRotation.objects.update(lease_owner="a worker", lease_until=timezone.now() + timedelta(seconds=60))
    naps: list[float] = []

    def nap(seconds):
        naps.append(seconds)
        KeyRotation.objects.update(lease_owner="", lease_until=None)

    monkeypatch.setattr("events.management.commands.rotatekeys.time.sleep", nap)
    call_command("rotatekeys")
    run.refresh_from_db()
    assert len(naps) == 1 and "A worker has it." in capsys.readouterr().out and run.state == "done"


def test_a_run_that_somebody_stops_ends_the_command(shops, monkeypatch):
    work = rotating.work

    def stopped(pk):
        done = work(pk)
        rotating.stop(KeyRotation.objects.get(pk=pk))
        return done

    monkeypatch.setattr(rotating, "work", stopped)
    with pytest.raises(CommandError, match="Stopped by hand"):
        call_command("rotatekeys")
