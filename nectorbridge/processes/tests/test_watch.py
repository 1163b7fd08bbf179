import os

import pytest

from nectorbridge.processes.pulse import PulseReader, PulseWriter, Sign
from nectorbridge.processes.watch import Watch, is_alive

STALL, BOOT, WORKERS, TASK_LIMIT = 10.0, 30.0, 2, 135.0
NO_SUCH_PROCESS = 2**31 - 1


@pytest.fixture
def watch():
    watch = Watch(STALL, BOOT, WORKERS, TASK_LIMIT, exists=lambda pid: pid != NO_SUCH_PROCESS)
    watch.begin(0.0)
    return watch


def run_canary(watch, now, pid=1):
    for sign in (Sign.TAKEN, Sign.DONE, Sign.ACKNOWLEDGED):
        watch.saw(sign, pid, now)


def test_a_new_cluster_gets_time_to_boot(watch):
    assert watch.complaint(29) == ""
    assert "did not begin" in watch.complaint(31)


def test_silence_with_a_free_worker_is_a_stall(watch):
    run_canary(watch, 5)
    assert watch.complaint(14) == ""
    assert "took no task for 10 s" in watch.complaint(15.5)


def test_one_busy_worker_is_no_excuse_for_the_other(watch):
    run_canary(watch, 5)
    watch.saw(Sign.TAKEN, 1, 6)
    assert "took no task" in watch.complaint(17)


def test_the_clock_stands_still_while_every_worker_is_busy(watch):
    run_canary(watch, 5)
    watch.saw(Sign.TAKEN, 1, 6)
    watch.saw(Sign.TAKEN, 2, 6)
    assert watch.complaint(60) == ""
    watch.saw(Sign.DONE, 1, 61)
    watch.saw(Sign.ACKNOWLEDGED, 9, 61)
    assert watch.complaint(70) == ""
    assert "took no task" in watch.complaint(72)


@pytest.mark.parametrize(("second", "now"), [(NO_SUCH_PROCESS, 20), (2, 145)])
def test_a_dead_worker_and_one_beyond_its_time_limit_are_not_busy(watch, second, now):
    run_canary(watch, 5)
    watch.saw(Sign.TAKEN, 1, 6)
    watch.saw(Sign.TAKEN, second, 6)
    assert "took no task" in watch.complaint(now)


def test_results_that_nobody_acknowledges_are_a_stall_of_the_monitor(watch):
    run_canary(watch, 5)
    for now in range(7, 30, 2):
        watch.saw(Sign.TAKEN, 1, now)
        watch.saw(Sign.DONE, 1, now)
    assert watch.complaint(26) == ""
    assert "acknowledged no result for 20 s" in watch.complaint(28)


def test_a_queue_that_is_away_is_not_the_clusters_fault(watch):
    run_canary(watch, 5)
    for now in range(6, 60):
        watch.saw(Sign.QUEUE_AWAY, 8, now)
    assert watch.complaint(65) == ""
    assert "took no task" in watch.complaint(70)


def test_beginning_again_forgets_everything(watch):
    run_canary(watch, 5)
    watch.begin(100)
    assert watch.complaint(125) == ""


def test_signs_travel_through_the_pipe_with_the_process_that_sent_them():
    reader = PulseReader()
    writer = PulseWriter(reader.writing_end)
    writer.send(Sign.TAKEN)
    writer.send(Sign.DONE)
    assert list(reader.wait(1)) == [(Sign.TAKEN, os.getpid()), (Sign.DONE, os.getpid())]
    assert list(reader.wait(0)) == []
    reader.close_writing_end()
    assert list(reader.wait(1)) == []
    assert reader.is_closed_by_writers
    reader.close()


def test_a_supervisor_that_does_not_read_does_not_hold_up_the_cluster():
    reader = PulseReader()
    writer = PulseWriter(reader.writing_end)
    for _ in range(20_000):  # more than a pipe holds
        writer.send(Sign.TAKEN)
    read = 0
    while part := list(reader.wait(0)):
        read += len(part)
    assert 0 < read < 20_000, "what it would have had to wait for is left out"
    reader.close()
    writer.send(Sign.TAKEN)
    reader.close_writing_end()


def test_is_alive_knows_this_process():
    assert is_alive(os.getpid())
    assert not is_alive(NO_SUCH_PROCESS)
