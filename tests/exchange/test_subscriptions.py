"""Wishes become messages, answers become facts, and nothing is asked too fast or forgotten."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.subscriptions import Pace, Subscription, Subscriptions
from exchange.wire import Ack, ErrorFrame, TradesFrame
from tests.exchange.laws import law

BTC = Subscription("trades", coin="BTC")
ETH = Subscription("trades", coin="ETH")
FAST = Pace(spacing_seconds=0)


def say(subscriptions, now=0.0):
    """Every message that may go out now, as (method, subscription)."""
    said = []
    while (message := subscriptions.next_message(now)) is not None:
        read = json.loads(message)
        said.append((read["method"], read["subscription"].get("coin")))
    return said


def ack(subscription, method="subscribe", **extra):
    wire = {"type": subscription.type, "coin": subscription.coin} | extra
    return Ack(method, wire)


def test_it_asks_for_each_wish_once():
    subscriptions = Subscriptions([ETH, BTC, Subscription("allMids")], pace=FAST)
    assert say(subscriptions) == [("subscribe", None), ("subscribe", "BTC"), ("subscribe", "ETH")]
    assert say(subscriptions) == []


def test_the_message_is_what_the_exchange_expects():
    message = Subscriptions([BTC]).next_message(0) or b""
    assert json.loads(message) == {
        "method": "subscribe",
        "subscription": {"type": "trades", "coin": "BTC"},
    }


def test_an_ack_confirms_whatever_keys_the_server_added():
    subscriptions = Subscriptions([BTC], pace=FAST)
    say(subscriptions)
    subscriptions.received(ack(BTC, nSigFigs=None, dex=""))
    assert subscriptions.live == {BTC}
    assert not subscriptions.pending


def test_an_ack_confirms_whatever_the_case_of_the_address():
    fills = Subscription("userFills", user="0x" + "ab" * 20)
    subscriptions = Subscriptions([fills], pace=FAST)
    say(subscriptions)
    subscriptions.received(Ack("subscribe", {"type": "userFills", "user": "0x" + "AB" * 20}))
    assert subscriptions.live == {fills}


def test_an_ack_out_of_nowhere_proves_nothing():
    subscriptions = Subscriptions([BTC], pace=FAST)
    subscriptions.received(ack(BTC))
    assert subscriptions.live == set()


def test_the_case_of_a_coin_matters():
    subscriptions = Subscriptions([Subscription("trades", coin="kPEPE")], pace=FAST)
    say(subscriptions)
    subscriptions.received(ack(Subscription("trades", coin="KPEPE")))
    assert subscriptions.live == set()


ALREADY = ErrorFrame('Already subscribed: {"type":"trades","coin":"BTC"}')


def test_already_subscribed_is_as_good_as_an_ack():
    mids = Subscription("allMids")
    subscriptions = Subscriptions([mids], pace=FAST)
    say(subscriptions)
    subscriptions.received(ErrorFrame('Already subscribed: {"type":"allMids"}'))
    assert subscriptions.live == {mids}
    assert say(subscriptions, 1000) == []


def test_trades_whose_ack_and_replay_were_lost_are_left_and_asked_for_anew():
    frame = TradesFrame("BTC", (), 0)
    subscriptions = Subscriptions([BTC], pace=FAST)
    say(subscriptions)
    assert say(subscriptions, 10) == [("subscribe", "BTC")]
    subscriptions.received(ALREADY)
    assert not subscriptions.received(frame)  # a live one: the replay was swallowed
    assert say(subscriptions, 11) == [("unsubscribe", "BTC")]
    assert subscriptions.live == set()
    subscriptions.received(ack(BTC, "unsubscribe"))
    assert say(subscriptions, 12) == [("subscribe", "BTC")]
    subscriptions.received(ack(BTC))
    assert subscriptions.received(frame)
    assert subscriptions.live == {BTC}
    assert say(subscriptions, 1000) == []


def test_a_server_that_always_says_already_subscribed_is_asked_anew_once_a_connection():
    subscriptions = Subscriptions([BTC], pace=FAST)
    for _ in range(2):
        asked = []
        for now in range(0, 600, 10):
            for method, _ in say(subscriptions, now):
                asked.append(method)
                already = method == "subscribe"
                subscriptions.received(ALREADY if already else ack(BTC, "unsubscribe"))
        assert asked == ["subscribe", "unsubscribe", "subscribe"]
        assert subscriptions.live == {BTC}
        subscriptions.disconnected()


def test_a_late_answer_and_the_complaint_about_the_second_question_renew_nothing():
    subscriptions = Subscriptions([BTC], pace=FAST)
    say(subscriptions)
    say(subscriptions, 10)
    subscriptions.received(ack(BTC))
    assert subscriptions.received(TradesFrame("BTC", (), 0))
    subscriptions.received(ALREADY)
    assert say(subscriptions, 1000) == []
    assert subscriptions.live == {BTC}


@pytest.mark.parametrize("colon", ["", ":"])
def test_an_invalid_subscription_is_refused_and_asked_again_on_the_next_connection(colon):
    subscriptions = Subscriptions([BTC, ETH], pace=FAST)
    say(subscriptions)
    subscriptions.received(
        ErrorFrame(f'Invalid subscription{colon} {{"type":"trades","coin":"ETH"}}')
    )
    assert subscriptions.refused.keys() == {ETH}
    assert say(subscriptions, 1000) == [("subscribe", "BTC")]
    subscriptions.disconnected()
    assert say(subscriptions, 1000) == [("subscribe", "BTC"), ("subscribe", "ETH")]


@pytest.mark.parametrize(
    "text", ["", "{", "Cannot track more than 10 total users.", "Invalid subscription {}", "x {[}"]
)
def test_other_complaints_change_nothing(text):
    subscriptions = Subscriptions([BTC], pace=FAST)
    say(subscriptions)
    subscriptions.received(ErrorFrame(text))
    assert subscriptions.pending.keys() == {BTC}


def test_an_answer_that_stays_away_is_asked_for_again():
    subscriptions = Subscriptions([BTC], pace=FAST)
    assert say(subscriptions, 0) == [("subscribe", "BTC")]
    assert say(subscriptions, 9.9) == []
    assert say(subscriptions, 10) == [("subscribe", "BTC")]


def test_a_wish_taken_back_is_unsubscribed_and_no_longer_live():
    subscriptions = Subscriptions([BTC, ETH], pace=FAST)
    say(subscriptions)
    subscriptions.received(ack(BTC))
    subscriptions.received(ack(ETH))
    subscriptions.want([ETH])
    assert say(subscriptions) == [("unsubscribe", "BTC")]
    assert subscriptions.live == {ETH}
    subscriptions.received(ack(BTC, "unsubscribe"))
    assert subscriptions.confirmed == {ETH}
    assert say(subscriptions, 100) == []


def test_only_the_first_trades_after_a_subscribe_are_replay():
    subscriptions = Subscriptions([BTC], pace=FAST)
    frame = TradesFrame("BTC", (), 0)
    say(subscriptions)
    assert subscriptions.received(frame)
    assert not subscriptions.received(frame)
    say(subscriptions, 10)  # the ack was lost: a repeated message brings no new replay
    assert not subscriptions.received(frame)
    subscriptions.disconnected()
    say(subscriptions, 11)
    assert subscriptions.received(frame)


def test_a_silent_coin_is_renewed_by_leaving_first():
    subscriptions = Subscriptions([BTC, ETH], pace=FAST)
    say(subscriptions)
    for coin in (BTC, ETH):
        subscriptions.received(ack(coin))
        subscriptions.received(TradesFrame(str(coin.coin), (), 0))
    subscriptions.renew("BTC")
    assert say(subscriptions) == [("unsubscribe", "BTC")]
    assert not subscriptions.received(TradesFrame("BTC", (), 0))
    subscriptions.received(ack(BTC, "unsubscribe"))
    assert say(subscriptions) == [("subscribe", "BTC")]
    assert subscriptions.received(TradesFrame("BTC", (), 0))


def test_messages_are_spaced_and_counted_by_the_minute():
    pace = Pace(spacing_seconds=0.5, per_minute=3)
    wishes = [Subscription("trades", coin=str(number)) for number in range(5)]
    subscriptions = Subscriptions(wishes, pace=pace)
    sent: list[float] = []
    now = 0.0
    while len(sent) < 5:
        if subscriptions.next_message(now) is not None:
            sent.append(now)
        now += 0.25
    assert sent == [0, 0.5, 1, 60, 60.5]


@law
@given(st.lists(st.floats(0, 30), min_size=1, max_size=200), st.integers(1, 20))
def test_no_minute_ever_holds_more_messages_than_allowed(gaps, per_minute):
    pace = Pace(spacing_seconds=0, per_minute=per_minute, resend_seconds=0)
    subscriptions = Subscriptions([BTC, ETH], pace=pace)
    now, sent = 0.0, []
    for gap in gaps:
        now += gap
        if subscriptions.next_message(now) is not None:
            sent.append(now)
    assert all(sum(end - 60 < at <= end for at in sent) <= per_minute for end in sent)


COINS = st.sampled_from(["A", "B", "C", "D"])


@law
@given(st.lists(st.frozensets(COINS), max_size=6))
def test_an_honest_server_and_we_always_come_to_agree(wishes):
    """Whatever we wish in turn: in the end exactly the last wishes are live on both sides."""
    subscriptions = Subscriptions(pace=FAST)
    server: set[str] = set()
    for wish in wishes:
        subscriptions.want([Subscription("trades", coin=coin) for coin in wish])
        for _ in range(20):
            for method, coin in say(subscriptions):
                (server.add if method == "subscribe" else server.discard)(coin)
                subscriptions.received(ack(Subscription("trades", coin=coin), method))
    last = wishes[-1] if wishes else frozenset()
    assert server == last
    assert {subscription.coin for subscription in subscriptions.live} == last
