"""Profile mirror: copy every change of a profile to the search index.

The last event to arrive wins, and events may be late: the first change comes after the second and puts the
old name back. One late event shows it. The twin carries a version and leaves a newer one alone.
"""

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 1


class Index:
    """Names, and versioned names."""

    def reset(self):
        self.name = ""
        self.version = 0

    def put(self, change):
        self.name = change["name"]

    def put_newer(self, change):
        if change["version"] > self.version:
            self.version, self.name = change["version"], change["name"]


index = Index()


@pytest.fixture(autouse=True)
def fresh(durable):
    index.reset()


@durable_function("mirror", trigger="profile/changed")
def mirror_bug(ctx: ContextSync):
    ctx.step.run("put", index.put, ctx.event.data)


@durable_function("mirror-versions", trigger="profile/changed")
def mirror_ok(ctx: ContextSync):
    ctx.step.run("put", index.put_newer, ctx.event.data)


def shows_the_newest_name(durable, mirror):
    durable.register(mirror)
    durable.send("profile/changed", {"version": 1, "name": "Kim"}, at="1m")
    durable.send("profile/changed", {"version": 2, "name": "Kim Lee"}, at="5m")
    durable.advance("1d")
    assert index.name == "Kim Lee"


@pytest.mark.durable(explore="every", faults=["delay_event"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    shows_the_newest_name(durable, mirror_bug)


@pytest.mark.durable(explore="every", faults=["delay_event"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    shows_the_newest_name(durable, mirror_ok)
