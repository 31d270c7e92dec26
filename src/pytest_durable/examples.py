"""Examples: schedules in words, by the names of what happens, so that they survive an unrelated edit of a function.

An example is the default order and some rules that leave it::

    crash after step charge of shop; hold step b of pair until step a of pair; move event approved to the end

What does not stand in it goes as in the default order. The text of a schedule (``s1....``) is exact and belongs to one
version of a test; an example belongs to what it names.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from ._core.choices import ORDER, Replay, is_schedule
from ._core.errors import ScheduleError
from ._core.happenings import Moment
from .choosers import Follow
from .names import HOLD, MOVE, TO, TOKEN, UNTIL, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._core.happenings import Happening
    from .choosers import Search
    from .simulation import Simulation

FAULT = "fault"
DEFAULT = "default order"
END = "the end"
"""Where an event goes that never comes before the end of its window."""

EXECUTIONS = 60
"""How many executions may be spent on making the example of one failure short."""

NAMES_SHOWN = 30


class Rule(NamedTuple):
    """One rule: a fault by its name, ``hold first until second`` or ``move first to second``."""

    kind: str
    first: str
    second: str = ""

    def __str__(self) -> str:
        if self.kind == FAULT:
            return self.first
        return f"{self.kind} {self.first} {UNTIL if self.kind == HOLD else TO} {self.second}"


def parse(text: str) -> list[Rule]:
    """The rules of an example.

    Raises:
        ScheduleError: it has another form.
    """
    parts: list[list[str]] = [[]]
    if TOKEN.sub("", text).strip():
        raise _refused(text, "a quotation mark stands alone")
    for token in TOKEN.findall(text):
        if token == ";":  # noqa: S105 - a token of text
            parts.append([])
        else:
            parts[-1].append(token)
    rules = [_rule(text, part) for part in parts if part and " ".join(part) != DEFAULT]
    if not rules and DEFAULT not in text:
        raise _refused(text, "it is empty")
    return rules


def _rule(text: str, part: list[str]) -> Rule:
    for kind, word in ((HOLD, UNTIL), (MOVE, TO)):
        if part[0] == kind:
            place = part.index(word) if word in part else 0
            first, second = " ".join(part[1:place]), " ".join(part[place + 1 :])
            if not first or not second:
                raise _refused(text, f"'{kind}' is followed by a name, '{word}' and another name")
            return Rule(kind, first, second)
    if len(part) < 3:  # noqa: PLR2004 - the shortest name of a fault: drop event x
        raise _refused(text, f"'{' '.join(part)}' is neither a fault nor 'hold ... until ...' nor 'move ... to ...'")
    return Rule(FAULT, " ".join(part))


def _refused(text: str, why: str) -> ScheduleError:
    return ScheduleError(
        f"{text!r} is not a schedule, or only a part of one, and not an example: {why}. Copy the whole line behind "
        "'replay:' or 'example:' from the report"
    )


class Example:
    """Follows rules, and the default order where there is none."""

    def __init__(self, rules: Sequence[Rule], text: str) -> None:
        self.text = text
        self.rules = rules
        self.holds: dict[str, list[str]] = {}
        for rule in rules:
            if rule.kind == HOLD:
                self.holds.setdefault(rule.first, []).append(rule.second)
        self.moves = {rule.first: rule.second for rule in rules if rule.kind == MOVE}
        self.faults = {rule.first for rule in rules if rule.kind == FAULT}
        self.happened_names: set[str] = set()
        self.names: Names

    def meet(self, simulation: Simulation) -> None:
        """Learn which simulation it is about."""
        self.names = Names(simulation)

    def choose(self, label: str, options: Sequence[Any]) -> int:
        """The first option that is not held; what is said of a moment or of a fault; otherwise the default."""
        names = self.names
        if label == ORDER:
            free = [index for index, option in enumerate(options) if not self._is_held(names.happening(option))]
            return free[0] if free else 0
        if isinstance(options[0], Moment):
            name, due = names.happening(options[0].happening), names.due()
            return int(name in self.moves and self.moves[name] not in due)
        offered = names.injections(options[1:])
        return next((index for index, name in enumerate(offered, 1) if name in self.faults), 0)

    def _is_held(self, name: str) -> bool:
        return any(other not in self.happened_names for other in self.holds.get(name, ()))

    def happened(self, happening: Happening, footprint: dict[str, str]) -> None:
        """Let go of what was held until this has happened."""
        del footprint
        self.happened_names.update((self.names.happening(happening), self.names.deed(happening)))

    def barrier(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Check, after the test, that everything that the example names did occur.

        Raises:
            ScheduleError: a name did not; the message says which, and what names there are.
        """
        for rule in self.rules:
            known = self.names.offered if rule.kind == FAULT else self.names.seen
            for name in (rule.first, rule.second):
                if name and name not in known and (rule.kind, name) != (MOVE, END):
                    raise self._unknown(rule, name, list(known))

    def _unknown(self, rule: Rule, name: str, known: list[str]) -> ScheduleError:
        near = get_close_matches(name, known, 1)
        hint = f" Is {near[0]!r} meant?" if near else ""
        if rule.kind == FAULT and not known:
            there = "no fault is an option in this test; name those that are in faults=[...]"
        else:
            shown = known[:NAMES_SHOWN]
            more = f", and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
            what = "faults" if rule.kind == FAULT else "happenings"
            there = f"the {what} are: {', '.join(shown)}{more}"
        return ScheduleError(
            f"the example {self.text!r} does not fit this test: {name!r} does not occur in it.{hint} There, {there}. "
            "Correct the name, or take the example out"
        )


def replaying(text: str) -> Any:
    """The chooser that follows the text of a schedule or an example; its ``finish()`` judges it after the test.

    Raises:
        ScheduleError: it is neither.
    """
    text = text.strip()
    return Replay(text) if is_schedule(text) else Example(parse(text), text)


# -- from a schedule to an example ------------------------------------------------------------------------------------


class Naming:
    """Hands on to a chooser, and notes the rules of what it chose."""

    def __init__(self, chooser: Any) -> None:
        self.chooser = chooser
        self.rules: dict[Rule, None] = {}
        self.late: dict[str, Rule] = {}
        self.names: Names

    def meet(self, simulation: Simulation) -> None:
        """Learn which simulation it is about."""
        self.names = Names(simulation)

    def choose(self, label: str, options: Sequence[Any]) -> int:
        """Hand on where there is a choice."""
        names = self.names
        if label == ORDER:
            ordered = [names.happening(option) for option in options]
            index: int = self.chooser.choose(label, options) if len(options) > 1 else 0
            for passed in ordered[:index]:
                self.rules[Rule(HOLD, passed, ordered[index])] = None
            return index
        index = self.chooser.choose(label, options)
        if isinstance(options[0], Moment):
            self._moment(options[0], later=bool(index))
        else:
            taken = ["", *names.injections(options[1:])][index]
            self.rules.update({Rule(FAULT, taken): None} if taken else {})
        return index

    def _moment(self, moment: Moment, *, later: bool) -> None:
        name, places = self.names.happening(moment.happening), self.names.due()
        if later and name not in self.late:
            self.late[name] = Rule(MOVE, name, END)
            self.rules[self.late[name]] = None
        elif not later and name in self.late and places:
            del self.rules[self.late[name]]
            self.rules[Rule(MOVE, name, places[0])] = None

    def happened(self, happening: Happening, footprint: dict[str, str]) -> None:
        """Say rather what it did, if that is one step: the request that does it may be another one after an edit."""
        del footprint
        name, deed = self.names.happening(happening), self.names.deed(happening)
        if deed:
            self.rules = {
                rule._replace(second=deed) if rule.kind == HOLD and rule.second == name else rule: None
                for rule in self.rules
            }

    def barrier(self) -> None:
        """Nothing."""


def example_of(indices: Sequence[int], execute: Callable[[Any], Any], wanted: object) -> str:
    """The shortest rules found that fail in the same way as a schedule; "" if names do not say enough."""
    naming = Naming(Follow(indices))
    execute(naming)
    rules, left = list(naming.rules), EXECUTIONS

    def fails(candidate: list[Rule]) -> bool:
        trial = execute(Example(candidate, ""))
        return trial.error is not None and trial.identity() == wanted

    if not fails(rules):
        return ""
    size = len(rules) // 2
    while size and left > 0:
        start = 0
        while start < len(rules) and left > 0:
            left -= 1
            fewer = rules[:start] + rules[start + size :]
            if fails(fewer):
                rules = fewer
            else:
                start += size
        size //= 2
    return "; ".join(map(str, rules)) or DEFAULT


class Pinned:
    """A search that tries examples first, and then goes on with another search."""

    def __init__(self, examples: Sequence[str], search: Search) -> None:
        self.left = list(examples)
        self.search = search
        self.present: Any = None

    @property
    def complete(self) -> bool:
        """As the search."""
        return not self.left and self.search.complete

    @property
    def pruned(self) -> int:
        """As the search."""
        return self.search.pruned

    def next(self) -> Any:
        """The next example, and then those of the search."""
        self.present = replaying(self.left.pop(0)) if self.left else None
        return self.present or self.search.next()

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """Tell the search, if it was its execution."""
        if self.present is None:
            self.search.done(pruned=pruned, looked=looked)
