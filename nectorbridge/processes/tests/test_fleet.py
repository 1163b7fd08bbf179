import pytest

from nectorbridge.processes.backoff import Backoff
from nectorbridge.processes.fleet import CannotStartError, Fleet, Member


class Ended:
    """A child that is over already."""

    def __init__(self, exit_code=1, uptime=0.1):
        self.exit_code, self.uptime = exit_code, uptime

    def kill(self):
        pass


def test_waits_double_up_to_the_longest_and_start_over_after_good_health():
    backoff = Backoff()
    assert [backoff.wait_after(1) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert backoff.wait_after(30) == 0.5
    assert backoff.wait_after(1) == 1


def test_five_quick_deaths_within_a_minute_are_too_many():
    member = Member("web server", ["gunicorn"])
    assert [member.ended(0.5, now) for now in (1, 3, 5, 8, 12)] == [True, True, True, True, False]


def test_a_longer_life_in_between_makes_the_count_start_over():
    member = Member("web server", ["gunicorn"])
    lives = [0.5, 0.5, 0.5, 0.5, 6, 0.5]
    assert all(member.ended(uptime, now) for now, uptime in enumerate(lives))


def test_quick_deaths_spread_over_more_than_a_minute_do_not_count_together():
    member = Member("web server", ["gunicorn"])
    assert all(member.ended(0.5, now) for now in range(0, 200, 20))


def test_an_essential_member_that_cannot_start_ends_the_fleet_with_one_line():
    member = Member("web server", ["gunicorn"])
    fleet = Fleet([member], requests=None)
    with pytest.raises(CannotStartError) as raised:
        for _ in range(5):
            member.child = Ended(exit_code=3)
            fleet.look()
    assert str(raised.value) == "The web server ended 5 times right after its start (exit code 3); its message is above."


@pytest.mark.parametrize(("exit_code", "ends"), [(0, 1), (1, 5)])
def test_a_member_that_is_not_essential_may_end_or_fail_alone(exit_code, ends):
    member = Member("demo activity", ["manage", "demo"], is_essential=False)
    fleet = Fleet([member], requests=None)
    for _ in range(ends):
        assert fleet.members == [member]
        member.child = Ended(exit_code)
        fleet.look()
    assert fleet.members == []
