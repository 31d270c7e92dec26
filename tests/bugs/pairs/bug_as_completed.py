"""Translation: three chapters are translated in parallel and bound into a book.

The chapters are bound in the order in which the translators finish. It shows when one finishes out of turn.
The twin also takes them as they complete, and puts each in its own place.
"""

import asyncio

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


async def translate(chapter):
    return f"chapter {chapter}"


@durable_function("translate-book", trigger="book/ordered")
async def book_bug(ctx: Context):
    jobs = [ctx.step.run(f"translate-{n}", translate, n) for n in (1, 2, 3)]
    pages = [await job for job in asyncio.as_completed(jobs)]
    return await ctx.step.run("bind", lambda: " ".join(pages))


@durable_function("translate-book-in-place", trigger="book/ordered")
async def book_ok(ctx: Context):
    pages = {}

    async def one(number):
        pages[number] = await ctx.step.run(f"translate-{number}", translate, number)

    for done in asyncio.as_completed([one(n) for n in (1, 2, 3)]):
        await done
    return await ctx.step.run("bind", lambda: " ".join(pages[n] for n in (1, 2, 3)))


def binds_in_order(durable, book):
    assert durable.run(book) == "chapter 1 chapter 2 chapter 3"


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    binds_in_order(durable, book_bug)


@pytest.mark.durable(explore="every", max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    binds_in_order(durable, book_ok)
