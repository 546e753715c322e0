"""Every error that talking to the exchange can raise, as one tree.

::

    ExchangeError
    ├── WireError          a frame or reply that breaks the protocol; asking again will not help
    ├── TransportError     no usable reply: connect, time-out, reset, 5xx, not JSON; retryable
    │   └── BudgetClosed   Redis is unreachable, so no weight may be spent; retryable
    ├── RateLimited        HTTP 429, or no room in the budget before the deadline; retry later
    └── RequestRefused     422 and the other 4xx: the request itself is wrong; permanent
"""

from __future__ import annotations


class ExchangeError(Exception):
    """Root of the tree: catch it to survive anything the exchange does."""


class WireError(ExchangeError):
    """What arrived is not what the protocol says: bad JSON, shape, number, time or name."""


class TransportError(ExchangeError):
    """The exchange gave no usable reply; the same request may succeed later."""


class BudgetClosed(TransportError):  # noqa: N818 (a state, named as the field says it)
    """The shared budget cannot be asked, so nothing may be sent."""


class RateLimited(ExchangeError):  # noqa: N818 (likewise)
    """The exchange said 429, or the shared budget has no room before the deadline."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RequestRefused(ExchangeError):  # noqa: N818 (likewise)
    """The exchange will never answer this request: do not repeat it."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
