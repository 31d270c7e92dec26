"""Items for the shares of an exploration (``--durable-shards``), and what they have found together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from .shares import Share

if TYPE_CHECKING:
    import pytest

    from .settings import Settings

ARGUMENT = "durable_shard"
"""The parameter of an item that is one share of a search."""

IN_ID = re.compile(r"\[shard-\d+-of-\d+\]|-shard-\d+-of-\d+(?=[-\]])|(?<=\[)shard-\d+-of-\d+-")


def shards(value: object) -> int:
    """The number of ``--durable-shards``.

    Raises:
        UsageError: it is no number from 1 on.
    """
    if not str(value).isdecimal() or not int(str(value)):
        msg = f"--durable-shards={value!r} is not a whole number from 1 on"
        raise UsageError(msg)
    return int(str(value))


def split(metafunc: pytest.Metafunc, settings: Settings, value: object) -> None:
    """Make an item of each share of a test that is explored."""
    count = shards(value)
    test = metafunc.function
    if count == 1 or not settings.explore or settings.schedule or getattr(test, "is_hypothesis_test", False):
        return
    metafunc.fixturenames.append(ARGUMENT)
    shares = [Share(number, count) for number in range(count)]
    metafunc.parametrize(ARGUMENT, shares, ids=[str(share) for share in shares])


def share_of(item: pytest.Item) -> Share | None:
    """The share that an item is, if it is one."""
    callspec = getattr(item, "callspec", None)
    share: Share | None = callspec.params.get(ARGUMENT) if callspec is not None else None
    return share


def whole(nodeid: str) -> str:
    """The id of the test of which an item is a share."""
    return IN_ID.sub("", nodeid)


def told(parts: list[dict[str, Any]]) -> tuple[str, bool]:
    """What all items of one test found, and whether all that there is was tried; each part is that of one item."""
    if len(parts) == 1 and parts[0]["share"] is None:
        return parts[0]["text"], parts[0]["complete"]
    count = parts[0]["share"][1]
    there = {part["share"][0]: part for part in parts}
    gaps = [f"shard {number + 1} was not run" for number in range(count) if number not in there]
    gaps += [
        f"shard {number + 1}: {part['stopped'] or 'sampling never is'}"
        for number, part in sorted(there.items())
        if not part["complete"]
    ]
    schedules = sum(part["schedules"] for part in parts)
    failing = sorted(number + 1 for number, part in there.items() if part["failed"])
    word = f"incomplete ({'; '.join(gaps)})" if gaps else "complete"
    found = f"shard {', '.join(map(str, failing))} fails" if failing else "none fails"
    return f"explored {schedules} schedules in {count} shards, {word}{parts[0]['bounds']}: {found}", not gaps
