"""The sockets of every web process are in the numbers of each."""

from __future__ import annotations

from tests.web.server import WebServer, until


def test_the_sockets_of_two_processes_are_added_up(book, server, services):
    other = WebServer(services.redis_url)
    other.start()

    def connections():
        return server.get("/api/v1/stats")[1]["websocket"]["active_connections"]

    try:
        assert connections() == 0
        with server.listen() as one, other.listen() as two, other.listen() as three:
            for updates in (one, two, three):
                updates.next()
            until(lambda: connections() == 3)
        until(lambda: connections() == 0)
        with server.listen() as one:
            one.next()
            until(lambda: connections() == 1)
            assert other.process is not None
            other.process.kill()
            other.process.wait()
            until(lambda: connections() == 1)
    finally:
        other.stop()
