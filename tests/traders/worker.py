"""A worker of its own process that runs one tracking pass: `python -m tests.traders.worker`.

Arguments: the exchange's URL, the pass's seconds, and the address whose reply kills the process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import httpx
from asgiref.sync import async_to_sync
from django.db import connection

from hlcopy.supervisor.children import popen_options

CHECKOUT = Path(__file__).resolve().parents[2]


@contextmanager
def working(
    api_url: str, *, seconds: float = 30, poison: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker on the tests' database; at the end of the block it is killed if it runs."""
    database = connection.settings_dict
    url = (
        f"postgres://{database['USER']}:{database['PASSWORD']}@"
        f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.traders.worker", api_url, str(seconds), poison],
        cwd=CHECKOUT,
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        **popen_options(death_signal=signal.SIGKILL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


class Deadly(httpx.AsyncHTTPTransport):
    """Kills the process when it asks for one address: a reply that no worker survives."""

    def __init__(self, poison: str) -> None:
        super().__init__()
        self._poison = poison.encode()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass the request on, or die."""
        if self._poison and self._poison in request.content:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().handle_async_request(request)


def main() -> None:
    """Run the pass."""
    django.setup()
    from exchange.info import InfoClient  # noqa: PLC0415 (needs the settings)
    from tests.traders.passes import OpenBudget  # noqa: PLC0415
    from traders.pass_limits import Limits  # noqa: PLC0415
    from traders.tracking import run_pass  # noqa: PLC0415

    api_url, seconds, poison = sys.argv[1:]

    async def pass_() -> None:
        async with InfoClient(api_url, budget=OpenBudget(), transport=Deadly(poison)) as info:
            await run_pass(info, Limits(50, 1000, float(seconds)))

    async_to_sync(pass_)()


if __name__ == "__main__":
    main()
