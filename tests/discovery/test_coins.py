"""Which coins are carried."""

from __future__ import annotations

from discovery.coins import DECIDE_AFTER_SECONDS, GONE_AFTER_SECONDS, CoinPlan


def plan(*wishes: str, sockets: int = 2) -> CoinPlan:
    """A plan made at second 0."""
    return CoinPlan(wishes, sockets=sockets, started_seconds=0)


def test_all_means_the_perpetuals_of_the_main_dex():
    coins = plan("all")

    assert coins.shown("", ["BTC", "kPEPE", "@107", "PURR/USDC", "#250", "xyz:TSLA"], 1)
    assert coins.choose(1).coins == ("BTC", "kPEPE")


def test_the_list_alone_is_enough():
    coins = plan("all")
    coins.listed([("BTC", False), ("MATIC", True), ("xyz:TSLA", False)])

    assert coins.choose(0).coins == ("BTC",)
    assert coins.choose(10 * GONE_AFTER_SECONDS).coins == ("BTC",)


def test_a_delisted_coin_is_not_carried_although_it_is_shown():
    coins = plan("all")
    coins.listed([("BTC", False), ("MATIC", True)])
    coins.shown("", ["BTC", "MATIC"], 1)

    assert coins.choose(1).coins == ("BTC",)


def test_a_new_listing_is_news_and_a_known_coin_is_not():
    coins = plan("all")

    assert coins.shown("", ["BTC"], 1)
    assert not coins.shown("", ["BTC"], 2)
    assert coins.shown("", ["BTC", "NEW"], 3)
    assert coins.choose(3).coins == ("BTC", "NEW")


def test_a_coin_that_is_no_longer_shown_is_dropped_after_long():
    coins = plan("all", "ETH")
    coins.listed([("BTC", False), ("ETH", False)])
    coins.shown("", ["BTC", "ETH"], 0)
    coins.shown("", ["BTC"], GONE_AFTER_SECONDS)

    assert coins.choose(GONE_AFTER_SECONDS).coins == ("BTC", "ETH")
    later = coins.choose(GONE_AFTER_SECONDS + 1)
    assert later.coins == ("BTC",)
    assert later.skipped == {"ETH": "no longer shown"}


def test_wished_coins_are_judged_when_the_mids_have_come():
    coins = plan("BTC", "NOSUCH", "MATIC", "@107", "PURR/USDC", "#250", "BTC")
    coins.listed([("MATIC", True)])

    assert coins.choose(0).coins == ("@107", "PURR/USDC", "#250")
    assert coins.choose(0).skipped == {"MATIC": "delisted"}
    coins.shown("", ["BTC", "MATIC"], 1)
    choice = coins.choose(1)
    assert choice.coins == ("BTC", "@107", "PURR/USDC", "#250")
    assert choice.skipped == {"NOSUCH": "unknown", "MATIC": "delisted"}


def test_a_server_without_mids_and_without_a_list_is_taken_at_its_word():
    coins = plan("BTC", "xyz:TSLA")

    assert coins.choose(DECIDE_AFTER_SECONDS - 1).coins == ()
    assert coins.choose(DECIDE_AFTER_SECONDS).coins == ("BTC", "xyz:TSLA")


def test_a_star_means_every_coin_of_that_dex_alone():
    coins = plan("xyz:*", "BTC")
    assert coins.dexes == ("", "xyz")

    coins.shown("", ["BTC", "ETH"], 1)
    coins.shown("xyz", ["xyz:TSLA", "xyz:GOLD", "flx:TSLA"], 1)
    assert coins.choose(1).coins == ("xyz:GOLD", "xyz:TSLA", "BTC")


def test_a_dex_without_coins_is_named():
    coins = plan("nosuch:*")
    coins.shown("nosuch", [], 1)

    assert coins.choose(1).skipped == {"nosuch:*": "the exchange shows no coin of it"}


def test_the_subscriptions_of_all_sockets_stay_within_the_exchanges_limit():
    coins = plan("all", sockets=2)
    coins.shown("", [f"C{number}" for number in range(700)], 1)

    choice = coins.choose(1)
    # Each socket also carries the mids and the clock.
    assert 2 * (len(choice.coins) + 2) <= 1000
    assert len(choice.coins) + len(choice.skipped) == 700


def test_hostile_names_are_not_carried():
    coins = plan("all")
    coins.shown("", ["", " ", "A B", "B\n", "x" * 33, "a:b:c", "OK"], 1)

    assert coins.choose(1).coins == ("OK",)
