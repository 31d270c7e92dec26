"""The steps of a run as a list that compares with what a test expects: ids, sets of ids in any order, and ``...``."""

from __future__ import annotations

from typing import Any


class StepLog(list[str]):
    """Ids of steps in order of completion.

    ``["a", {"b", "c"}, ..., "z"]`` means: a, then b and c in any order, then any steps at all, then z.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple)):
            return NotImplemented
        return matches(list(self), list(other))

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return NotImplemented if equal is NotImplemented else not equal

    __hash__ = None  # a list


def matches(steps: list[str], pattern: list[Any]) -> bool:
    """Whether the steps are as the pattern says. Linear in both, times the number of gaps."""
    reachable = {0}
    for part in pattern:
        if part is ...:
            reachable = set(range(min(reachable), len(steps) + 1)) if reachable else set()
        elif isinstance(part, (set, frozenset)):
            size = len(part)
            reachable = {at + size for at in reachable if set(steps[at : at + size]) == part
                         and at + size <= len(steps)}  # fmt: skip
        else:
            reachable = {at + 1 for at in reachable if at < len(steps) and steps[at] == part}
        if not reachable:
            return False
    return len(steps) in reachable


def explain(steps: list[str], pattern: list[Any]) -> list[str]:
    """An aligned diff of steps and pattern, for pytest's assertion output."""
    from difflib import SequenceMatcher

    wanted = [_shown(part) for part in pattern]
    had = [repr(step) for step in steps]
    rows: list[tuple[str, str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, had, wanted, autojunk=False).get_opcodes():
        left, right = had[a:b], wanted[c:d]
        if tag == "equal":
            rows += [(" ", one, one) for one in left]
            continue
        for index in range(max(len(left), len(right))):
            one = left[index] if index < len(left) else ""
            other = right[index] if index < len(right) else ""
            rows.append(("-" if not other else "+" if not one else "!", one, other))
    width = max([len("steps"), *(len(left) for _, left, _ in rows)])
    lines = ["the steps of the run are not as expected", f"  {'steps':<{width}}   expected"]
    return lines + [f"{mark} {left:<{width}}   {right}".rstrip() for mark, left, right in rows]


def _shown(part: Any) -> str:
    if part is ...:
        return "..."
    if isinstance(part, (set, frozenset)):
        return "{" + ", ".join(sorted(map(repr, part))) + "} in any order"
    return repr(part)
