"""Silence is judged by the clock that is passed in."""

from __future__ import annotations

from itertools import islice

from exchange.liveness import Liveness, Patience, full_jitter

PATIENCE = Patience()


def watch():
    return Liveness(PATIENCE, 0)


def test_a_quiet_socket_is_pinged_every_15_seconds_and_left_before_30():
    quiet = watch()
    quiet.waits(0)
    asked = [(now, quiet.wants_ping(now), quiet.is_dead(now)) for now in (14.9, 15, 16, 28.9, 29)]
    assert asked == [
        (14.9, False, False),
        (15, True, False),
        (16, False, False),
        (28.9, False, False),
        (29, False, True),
    ]


def test_any_frame_is_a_sign_of_life():
    flowing = watch()
    for now in range(10, 100, 10):
        flowing.waits(now - 10)
        flowing.frame(now)
        flowing.waits(now)
        assert not flowing.wants_ping(now + 9)
        assert not flowing.is_dead(now + 9)


def test_who_answers_a_ping_late_may_have_left_out_more():
    quiet = watch()
    quiet.waits(0)
    assert not quiet.was_deaf(30)  # nobody had asked
    assert quiet.wants_ping(15)
    assert not quiet.was_deaf(19.9)
    assert quiet.was_deaf(20)
    quiet.frame(16)
    assert not quiet.was_deaf(40)


def test_silence_while_the_reader_is_busy_is_its_own():
    busy = watch()
    busy.waits(0)
    busy.frame(1)
    assert not busy.is_dead(1000)
    busy.waits(1000)
    assert not busy.is_dead(1028)
    assert busy.is_dead(1029)


def test_a_liquid_coin_is_silent_only_while_others_flow():
    live = {"BTC", "ETH", "SOL"}
    stuck = watch()
    assert stuck.silent_coin(live, 0) is None
    assert stuck.silent_coin(live, 100) is None
    stuck.trades("SOL", 101)
    assert stuck.silent_coin(live, 101) == "BTC"
    assert stuck.silent_coin(live, 101) == "ETH"
    assert stuck.silent_coin(live, 102) is None


def test_each_liquid_coin_shows_that_the_other_flows():
    stuck = watch()
    stuck.silent_coin({"BTC", "ETH"}, 0)
    for now in range(1, 70):
        stuck.trades("ETH", now)
    assert stuck.silent_coin({"BTC", "ETH"}, 70) == "BTC"


def test_a_coin_that_is_not_live_is_not_missed():
    stuck = watch()
    stuck.trades("SOL", 99)
    assert stuck.silent_coin({"SOL"}, 100) is None


def test_health_needs_frames_over_ten_seconds():
    silent = watch()
    assert not silent.was_healthy
    silent.frame(9.9)
    assert not silent.was_healthy
    silent.frame(10)
    assert silent.was_healthy


def test_the_back_off_doubles_to_its_cap_with_full_jitter():
    latest = list(islice(full_jitter(uniform=lambda _low, high: high), 6))
    earliest = list(islice(full_jitter(uniform=lambda low, _high: low), 6))
    assert latest == [0.5, 1, 2, 4, 4, 4]
    assert earliest == [0] * 6
