"""Hyperliquid, spoken plainly: wire decoding, one-socket stream, ``/info`` client, shared budget.

The lowest package: it imports nothing of ours and no Django; settings arrive as arguments.
"""

from __future__ import annotations
