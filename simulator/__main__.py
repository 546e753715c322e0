"""`python -m simulator`: a Hyperliquid-compatible exchange until TERM or ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from simulator.config import Limits, SimulatorConfig
from simulator.simulation import Simulator


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    defaults = SimulatorConfig()
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--traders", type=int, default=2000)
    parser.add_argument("--trades-per-second", type=float, default=defaults.trades_per_second)
    parser.add_argument("--volatility", type=float, default=defaults.volatility)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--no-limits", action="store_true", help="no limits per IP")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal asks to stop; the exit code."""
    options = _parser().parse_args(arguments)
    unlimited = Limits(10**9, 10**9, 10**9, 10**9, 10**9, 10**9)
    config = SimulatorConfig(
        host=options.host,
        port=options.port,
        seed=options.seed,
        traders=options.traders,
        trades_per_second=options.trades_per_second,
        volatility=options.volatility,
        speed=options.speed,
        limits=unlimited if options.no_limits else Limits(),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        simulator = Simulator(config).start()
    except OSError as exc:
        sys.stderr.write(f"cannot listen on {config.host}:{config.port}: {exc.strerror}\n")
        return 1
    simulator.run()
    sys.stdout.write(f"api={simulator.api_url} ws={simulator.ws_url}\n")
    sys.stdout.flush()
    stop.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
