"""Who listens to what: so that an event wakes only the sockets that want it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from web.filters import Entry, Filter, Topic
from web.listener import Listener


class Audience:
    """All listeners of a process; those with a filter are found by the topics of an event."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._listeners: set[Listener] = set()
        self._of_everything: set[Listener] = set()
        self._by_topic: dict[Topic, set[Listener]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._listeners)

    def __iter__(self) -> Iterator[Listener]:
        """Go through them all."""
        return iter(self._listeners)

    def add(self, listener: Listener) -> None:
        """Let a listener be found by its filter."""
        self._listeners.add(listener)
        if listener.filter.everything:
            self._of_everything.add(listener)
        else:
            for topic in listener.filter.topics():
                self._by_topic.setdefault(topic, set()).add(listener)

    def discard(self, listener: Listener) -> None:
        """Forget a listener, if it is known."""
        self._listeners.discard(listener)
        self._of_everything.discard(listener)
        for topic in () if listener.filter.everything else listener.filter.topics():
            if found := self._by_topic.get(topic):
                found.discard(listener)
                if not found:
                    del self._by_topic[topic]

    def move(self, listener: Listener, wanted: Filter) -> None:
        """Give a listener another filter."""
        self.discard(listener)
        listener.filter = wanted
        self.add(listener)

    def rouse(self, before: int, entries: Sequence[Entry]) -> None:
        """Wake who wants any of these new events, which follow event `before`."""
        for listener in self._of_everything:
            listener.rouse(before)
        if not self._by_topic:
            return
        for entry in entries:
            for topic in entry.topics():
                for listener in self._by_topic.get(topic, ()):
                    if listener.resting and listener.filter.wants(entry):
                        listener.rouse(entry.id - 1)
