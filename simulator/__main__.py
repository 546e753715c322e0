"""`python -m simulator`: a Hyperliquid-compatible exchange until TERM or ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

import msgspec

from simulator.config import Limits, SimulatorConfig
from simulator.live import World
from simulator.replay import Replay
from simulator.simulation import Simulator

HISTORY_BUDGET = 300_000  # changes of all accounts together: some 200 MB


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    defaults = SimulatorConfig()
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--traders", type=int, default=2000)
    parser.add_argument("--market-makers", type=int, default=defaults.market_makers)
    parser.add_argument("--trades-per-second", type=float, default=defaults.trades_per_second)
    parser.add_argument(
        "--speed", type=float, default=1.0, help="of prices and funding, or of a replay"
    )
    parser.add_argument("--volatility", type=float, default=defaults.volatility)
    parser.add_argument(
        "--funding-interval-seconds", type=float, default=defaults.funding_interval_seconds
    )
    parser.add_argument("--warmup-trades", type=int, help="default: two per trader, 4000 at least")
    parser.add_argument(
        "--history-per-account", type=int, help="default: 400, fewer if there are many traders"
    )
    parser.add_argument("--coins", default="", help="comma list; default: all")
    parser.add_argument("--manual", action="store_true", help="the clock moves by orders alone")
    parser.add_argument("--no-limits", action="store_true", help="no limits per IP")
    parser.add_argument("--only-weight", action="store_true", help="no limit but that of weight")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play recorded frames instead")
    parser.add_argument("--loop", action="store_true", help="replay again and again")
    return parser


def _limits(options: argparse.Namespace) -> Limits:
    boundless = Limits(*[10**9] * 6)
    if options.no_limits:
        return boundless
    if options.only_weight:
        return msgspec.structs.replace(boundless, weight_per_minute=Limits().weight_per_minute)
    return Limits()


def _config(options: argparse.Namespace) -> SimulatorConfig:
    return SimulatorConfig(
        host=options.host,
        port=options.port,
        seed=options.seed,
        traders=options.traders,
        market_makers=options.market_makers,
        trades_per_second=options.trades_per_second,
        speed=options.speed,
        volatility=options.volatility,
        funding_interval_seconds=options.funding_interval_seconds,
        warmup_trades=options.warmup_trades or max(4_000, 2 * options.traders),
        history_per_account=options.history_per_account
        or max(50, min(400, HISTORY_BUDGET // max(1, options.traders))),
        coins=tuple(name for name in options.coins.split(",") if name),
        limits=_limits(options),
    )


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal asks to stop; the exit code."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        world: World | None = None
        if options.replay is not None:
            world = Replay(options.replay, speed=options.speed, loop=options.loop)
        simulator = Simulator(_config(options), world=world).start()
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"the simulator cannot start: {exc}\n")
        return 1
    if world is None and not options.manual:
        simulator.run()
    sys.stdout.write(f"api={simulator.api_url} ws={simulator.ws_url}\n")
    if isinstance(world, Replay):
        for address, (name, _) in world.assignment.items():
            sys.stdout.write(f"account {address} = {name}\n")
    sys.stdout.flush()
    stop.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
