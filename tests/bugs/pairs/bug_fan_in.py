"""Photo album: a run for every photo makes a thumbnail and counts it; whoever counts the last one publishes.

Counting is an increment. A lost answer counts one photo twice, and the album is published before its last
photo is there. The twin keeps a set of photos, and publishes when the set is whole.
"""

import pytest

from pytest_durable import Context, durable_function, faults

DEVIATIONS = 1
PHOTOS = ["a", "b"]
FAULTS = [faults.lost_ack(step="count")]


class Album:
    """Thumbnails, the count, and what was published."""

    def reset(self):
        self.thumbnails = set()
        self.count = 0
        self.done = set()
        self.published = []

    def thumbnail(self, photo):
        self.thumbnails.add(photo)

    def increment(self, photo):
        self.count += 1
        return self.count

    def add(self, photo):
        self.done.add(photo)
        return len(self.done)

    def publish(self):
        self.published.append(sorted(self.thumbnails))


album = Album()


@pytest.fixture(autouse=True)
def fresh(durable):
    album.reset()


@durable_function("photo", trigger="photo/uploaded")
async def photo_bug(ctx: Context):
    photo = ctx.event.data["photo"]
    await ctx.step.run("thumbnail", album.thumbnail, photo)
    if await ctx.step.run("count", album.increment, photo) >= len(PHOTOS):
        await ctx.step.run("publish", album.publish)


@durable_function("photo-set", trigger="photo/uploaded")
async def photo_ok(ctx: Context):
    photo = ctx.event.data["photo"]
    await ctx.step.run("thumbnail", album.thumbnail, photo)
    if await ctx.step.run("count", album.add, photo) >= len(PHOTOS):
        await ctx.step.run("publish", album.publish)


def publishes_whole_albums(durable, photo):
    durable.register(photo)
    for number, name in enumerate(PHOTOS):
        durable.send("photo/uploaded", {"photo": name}, at=f"{number}m")
    durable.advance("1h")
    assert album.published
    assert all(pictures == PHOTOS for pictures in album.published)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=3000)
def test_bug(durable):
    """Some schedule shows the defect."""
    publishes_whole_albums(durable, photo_bug)


@pytest.mark.durable(explore="every", faults=FAULTS, max_schedules=3000)
def test_ok(durable):
    """No schedule breaks the twin."""
    publishes_whole_albums(durable, photo_ok)
