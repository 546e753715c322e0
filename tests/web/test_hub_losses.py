"""What the live updates survive: the loss of Redis, of PostgreSQL, and clients that are slow."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import contextmanager, suppress

import redis

from hlcopy.broadcast import EVENTS_CHANNEL
from hlcopy.embedded.valkey import find_program
from hlcopy.supervisor.children import popen_options
from tests.web.server import WebServer, free_port, until

PADDING = {"details": {"padding": "x" * 20_000}}


@contextmanager
def running(server: WebServer):
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def valkey(port: int):
    """A Redis of one's own; its end is a kill -9."""
    process = subprocess.Popen(
        [find_program(), "--port", str(port), "--save", "", "--loglevel", "nothing"],
        **popen_options(death_signal=signal.SIGKILL),
    )
    client = redis.Redis(port=port)

    def answers() -> bool:
        with suppress(redis.RedisError):
            return client.ping()
        return False

    try:
        until(answers)
        yield client
    finally:
        client.close()
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def subscribers(client: redis.Redis) -> int:
    return client.pubsub_numsub(EVENTS_CHANNEL)[0][1]


def test_redis_killed_and_back_without_its_memory_costs_no_event(book, services):
    port = free_port()
    server = WebServer(f"redis://127.0.0.1:{port}/0")
    with valkey(port) as client, running(server), server.listen() as updates:
        updates.next()
        until(lambda: subscribers(client) == 1)
        client.flushall()
        book.add(waking=False)
        assert updates.events(1) == [1]

    with running(server), server.listen() as updates:  # no Redis at all
        updates.next()
        book.add(2, waking=False)
        assert updates.events(2) == [2, 3]
        with valkey(port) as client:
            until(lambda: subscribers(client) == 1)
            book.add(waking=False)
            client.publish(EVENTS_CHANNEL, "4")
            assert updates.events(1) == [4]


def test_a_frozen_redis_is_noticed_and_costs_no_event(book, services):
    port = free_port()
    server = WebServer(f"redis://127.0.0.1:{port}/0")
    with valkey(port) as client, running(server), server.listen() as updates:
        updates.next()
        until(lambda: subscribers(client) == 1)
        pid = client.info("server")["process_id"]
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
        for number in (1, 2):
            book.add(waking=False)
            assert updates.events(1) == [number]


def test_postgresql_away_is_said_and_then_everything_comes(book, server, door):
    with server.listen() as updates:
        epoch = updates.next()["epoch"]
        assert server.get("/health/ready")[0] == 200
        assert server.get("/traders")[0] == 200

        door(False)
        until(lambda: server.get("/health/ready")[0] == 503)
        status, content = server.get("/health/ready")
        assert content["database"] == {"connected": False, "migrated": None}
        assert "PostgreSQL does not answer" in content["reasons"][0]
        assert server.get("/health") == (200, {"status": "ok"})
        status, content = server.get("/traders")
        assert (status, content["error"]["code"]) == (503, "database_away")
        book.add(3)

        door(True)
        until(lambda: server.get("/health/ready")[0] == 200)
        until(lambda: server.get("/traders")[0] == 200)
        assert updates.events(3) == [1, 2, 3]
        with server.listen(f"?epoch={epoch}&after=1") as again:
            assert again.events(2) == [2, 3]


def test_a_client_that_reads_late_gets_everything_and_delays_nobody(book, server):
    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.connect(("127.0.0.1", server.port))
    with server.listen(sock=slow_socket) as slow, server.listen() as quick:
        assert slow.next()["head"] == quick.next()["head"] == 0
        book.add(400, **PADDING)  # 8 MB: more than the kernel buffers
        assert quick.events(400) == list(range(1, 401))
        assert slow.events(400) == list(range(1, 401))
