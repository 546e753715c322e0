"""The stream process: sockets, batches, one transaction, broadcast."""

from __future__ import annotations
