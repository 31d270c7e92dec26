"""Newsletter: after a day, send the issue unless the reader has unsubscribed.

The body looks the reader up itself, outside any step, and waits for the printer's signal only then. Somebody
who unsubscribes between the look and the signal gets the issue. The body's look is no step, so the search has
to try both orders of it and of the unsubscription. The twin asks in the step that sends.
"""

import pytest

from pytest_durable import Context, between, durable_function

DEVIATIONS = 3


class Readers:
    """Subscribed readers, when they left, and the mails that went out to people who had left."""

    def reset(self):
        self.subscribed = {"rita"}
        self.wrongly = []

    def leave(self, reader):
        self.subscribed.discard(reader)

    def send(self, reader):
        if reader not in self.subscribed:
            self.wrongly.append(reader)

    def send_if_subscribed(self, reader):
        return reader in self.subscribed


readers = Readers()


@pytest.fixture(autouse=True)
def fresh(durable):
    readers.reset()


@durable_function("unsubscribe", trigger="reader/left")
async def unsubscribe(ctx: Context):
    await ctx.step.run("leave", readers.leave, ctx.event.data["reader"])


@durable_function("newsletter", trigger="issue/ready")
async def newsletter_bug(ctx: Context):
    reader = ctx.event.data["reader"]
    await ctx.step.sleep("a-day", "1d")
    if reader in readers.subscribed:
        await ctx.step.sleep("printer", "1h")
        await ctx.step.run("send", readers.send, reader)


@durable_function("newsletter-asking", trigger="issue/ready")
async def newsletter_ok(ctx: Context):
    reader = ctx.event.data["reader"]
    await ctx.step.sleep("a-day", "1d")
    await ctx.step.sleep("printer", "1h")
    await ctx.step.run("send", readers.send_if_subscribed, reader)


def respects_who_left(durable, newsletter):
    durable.register(unsubscribe)
    durable.start(newsletter, {"reader": "rita"})
    durable.send("reader/left", {"reader": "rita"}, at=between("23h", "1d"))
    durable.advance("2d")
    assert readers.wrongly == []


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    respects_who_left(durable, newsletter_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    respects_who_left(durable, newsletter_ok)
