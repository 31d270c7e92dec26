"""What the tests of flow control share: a log with the seconds since the start, and events at given seconds."""

import pytest


class Log:
    """Lines with the seconds at which they were written."""

    def __init__(self, durable):
        self.durable, self.start, self.lines = durable, durable.now, []

    def __call__(self, *labels):
        """Write a line."""
        seconds = (self.durable.now - self.start).total_seconds()
        self.lines.append((int(seconds) if seconds == int(seconds) else seconds, *labels))

    def of(self, *labels):
        """The times of the lines that begin so."""
        return [line[0] for line in self.lines if line[1 : 1 + len(labels)] == labels]


@pytest.fixture
def log(durable):
    """What functions write."""
    return Log(durable)


@pytest.fixture
def play(durable):
    """Send events at seconds from now: ``play("name", (0, data), (1.5, data, id))``."""

    def send(name, *moments):
        for seconds, data, *rest in moments:
            durable.send(name, data, id=rest[0] if rest else None, at=int(seconds * 1000))

    return send


@pytest.fixture
def outcomes(durable):
    """What became of the events of a name, in order, as text."""
    return lambda name: [str(event.outcome) for event in durable.events if event.name == name]
