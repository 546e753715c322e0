"""Many WebSocket clients in one process: raw sockets and epoll, cheaper than any server.

`python -m bench.browsers URL COUNT [MESSAGE]` opens them, sends each MESSAGE, prints `ready`, and
obeys its standard input: `count WANTED SECONDS` prints how many events came within that time;
`times WANTED SECONDS` prints when each came (JSON: number of the event to monotonic times).
With the environment variable STUCK nothing is ever read.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import struct
import sys
import time
from collections import defaultdict
from functools import lru_cache
from urllib.parse import urlsplit

TOKEN = b'"trader_address"'  # once in every event
NUMBER = re.compile(rb'\{"id":(\d+),')
# A buffer that the allocator has at hand; a larger one costs more than the kernel's part of it.
AT_MOST_BYTES = 1 << 16


@lru_cache(maxsize=1000)
def numbers(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """Return the numbers of the events in it, and what may be the beginning of the next one.

    What a socket is sent the others are sent too, so it is looked through once.
    """
    found, rest = [], 0
    for event in NUMBER.finditer(data):
        found.append(int(event[1]))
        rest = event.end()
    return tuple(found), data[max(rest, len(data) - 30) :]


def connect(url: str, message: str) -> socket.socket:
    """Send the handshake and the message in one go; the answers are read later."""
    parts = urlsplit(url)
    connection = socket.socket()
    if os.environ.get("STUCK"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit(head.decode())
    if message:
        # A text frame of a client is masked; the mask 0 leaves the payload as it is.
        payload = message.encode()
        length = len(payload)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack("!H", length)
        connection.sendall(b"\x81" + size + bytes(4) + payload)
    return connection


class Browsers:
    """All sockets, read as they become readable."""

    def __init__(self, url: str, count: int, message: str) -> None:
        """Connect."""
        self.poll = select.epoll()
        self.sockets = {}
        self.tails: dict[int, bytes] = {}
        for _ in range(count):
            connection = connect(url, message)
            connection.settimeout(0)
            self.sockets[connection.fileno()] = connection
            self.tails[connection.fileno()] = b""
            self.poll.register(connection.fileno(), select.EPOLLIN)

    def count(self, wanted: int, seconds: float) -> int:
        """Read until so many events came."""
        seen, give_up_at = 0, time.monotonic() + seconds
        while seen < wanted and time.monotonic() < give_up_at:
            for number, _ in self.poll.poll(0.1):
                data = self.tails[number] + self.read(number)
                seen += data.count(TOKEN)
                self.tails[number] = data[1 - len(TOKEN) :]
        return seen

    def times(self, wanted: int, seconds: float) -> dict[int, list[float]]:
        """Read until so many events came, and note when each did."""
        found = defaultdict[int, list[float]](list)
        seen, give_up_at = 0, time.monotonic() + seconds
        while seen < wanted and time.monotonic() < give_up_at:
            for number, _ in self.poll.poll(0.1):
                events, self.tails[number] = numbers(self.tails[number] + self.read(number))
                now = time.monotonic()
                for event in events:
                    found[event].append(now)
                seen += len(events)
        return found

    def read(self, number: int) -> bytes:
        """Return what is there."""
        try:
            data = self.sockets[number].recv(AT_MOST_BYTES)
        except OSError:
            data = b""
        if not data:
            self.poll.unregister(number)
        return data


def main() -> None:
    """Obey the standard input until it ends."""
    url, count, message = sys.argv[1], int(sys.argv[2]), "".join(sys.argv[3:4])
    browsers = Browsers(url, count, message)
    print("ready", flush=True)
    for line in sys.stdin:
        word, *limits = line.split()
        if word == "count":
            print(browsers.count(int(limits[0]), float(limits[1])), flush=True)
        else:
            print(json.dumps(browsers.times(int(limits[0]), float(limits[1]))), flush=True)


if __name__ == "__main__":
    main()
