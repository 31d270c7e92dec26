"""Choosers, one small piece each: what is tried next, in a search over the schedules of one scenario.

A *search* hands out a chooser for the next execution, and is told how that went. Exhaustive search, sampling, replay
and shrinking are all the same to the engine: somebody who answers ``choose``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ._core.choices import ORDER
from ._core.errors import DurabilityError, UsageError
from ._core.happenings import LOG_OF_EVENTS
from .samplers import PORTFOLIO, Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._core.happenings import Happening
    from .shares import Share

Key = tuple[str, str, str]
Footprint = dict[str, str]

OUTSIDE = (
    "Something outside the simulation decides: a global that one execution leaves to the next, a random number, "
    "real time or a set. Set it up afresh in a function-scoped fixture, or move it into a step"
)

TEST = "the test"
"""What the code of the test sees when a drive has reached its goal: everything but news that nobody listened to."""


class Pruned(BaseException):
    """Ends an execution that can only repeat what another order has shown."""


class NondeterministicScenarioError(DurabilityError):
    """The scenario itself does something else when it is run again with the same choices."""


class Search(Protocol):
    """The order in which schedules are tried."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to try."""
        ...

    @property
    def pruned(self) -> int:
        """How many executions were left early, as repetitions."""
        ...

    def next(self) -> Any:
        """A chooser for the next execution, or None when there is nothing left to try."""
        ...

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """Take note that the execution is over."""
        ...


class Follow:
    """Takes given indices, and the default behind their end and where an index does not fit."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices
        self.position = 0

    def choose(self, label: str, options: Sequence[object]) -> int:  # noqa: ARG002 - the port's signature
        """The next index."""
        position, self.position = self.position, self.position + 1
        index = self.indices[position] if position < len(self.indices) else 0
        return index if index < len(options) else 0


# -- exhaustive -------------------------------------------------------------------------------------------------------


class Node:
    """A choice on the present path of the exhaustive search.

    Attributes:
        mixed: options whose continuations this search, being one share of a search, has not all tried itself.
        keys: what the options are; equal in every execution that comes here.
        current: the index that is being explored.
        explored: options whose every continuation has been tried, with what they touched.
        sleep: options that need not be tried here, because an equal order has been tried elsewhere.
        footprint: what the present option touched, in any of its executions.
    """

    __slots__ = ("current", "explored", "footprint", "keys", "label", "mixed", "sleep")

    def __init__(self, label: str, keys: tuple[Any, ...], sleep: dict[Key, Footprint], current: int) -> None:
        self.label = label
        self.keys = keys
        self.sleep = sleep
        self.current = current
        self.explored: dict[Any, Footprint] = {}
        self.footprint: Footprint = {}
        self.mixed: set[Any] = set()


class Every:
    """All schedules, depth first, with sleep sets: of orders that differ only in independent neighbours, one is tried.

    Two happenings are independent if what they touched does not conflict: a run, the listeners for an event name, a
    signal name, the fault budget, the outside world of step bodies. Step bodies are opaque, so two of them conflict
    unless both promise what they touch. What touched what is recorded while it happens, not guessed.
    """

    def __init__(self, *, reduce: bool = True) -> None:
        self.reduce = reduce
        self.path: list[Node] = []
        self.complete = False
        self.pruned = 0
        self.looked: frozenset[str] = frozenset()
        self.share: Share | None = None

    def take(self, share: Share) -> None:
        """Try only the schedules whose first choices belong to this share."""
        self.share = share

    def next(self) -> EveryChooser | None:
        """A chooser that follows the path and then takes the first options."""
        return None if self.complete else EveryChooser(self)

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """Step back to the last choice with an option left."""
        self.pruned += pruned
        if not looked <= self.looked:
            # The test looks at a log, so the order in which things are added to it counts after all.
            self.looked |= looked
            if any(node.explored or node.mixed or node.sleep for node in self.path):
                self.path.clear()
                return
            for node in self.path:
                self.count_logs(node.footprint)
        path = self.path
        while path:
            node = path[-1]
            if node.label == ORDER:
                if self.share is not None and not self.share.has_all(*self.taken()):
                    node.mixed.add(node.keys[node.current])
                else:
                    node.explored[node.keys[node.current]] = node.footprint
                node.footprint = {}
                gone = (node.explored, node.sleep, node.mixed)
                left = [i for i, key in enumerate(node.keys) if not any(key in some for some in gone)]
            else:
                left = [node.current + 1] if node.current + 1 < len(node.keys) else []
            if left:
                node.current = left[0]
                return
            path.pop()
        self.complete = True

    def count_logs(self, footprint: Footprint) -> None:
        """Let the order of what was added to logs count, as far as the test looks at them."""
        looked = self.looked
        if looked:
            prefixes = tuple(looked)
            footprint.update({key: "w" for key in footprint if key.startswith(prefixes)})
        # News that touched no run changed nothing but the log of events.
        if LOG_OF_EVENTS in looked or any(key.startswith(("run", "step", "touched")) for key in footprint):
            footprint.setdefault(TEST, "r")

    def check_share(self) -> None:
        """Leave an execution as soon as the path says that another share tries it.

        Raises:
            Pruned: it does.
        """
        if self.share is not None and self.share.refuses(*self.taken()):
            raise Pruned

    def taken(self) -> tuple[list[int], list[int]]:
        """The options on the path, and how many there were at each choice."""
        return [node.current for node in self.path], [len(node.keys) for node in self.path]


class EveryChooser:
    """One execution of the exhaustive search."""

    def __init__(self, search: Every) -> None:
        self.search = search
        self.depth = 0
        self.sleep: dict[Key, Footprint] = {}
        self.candidates: dict[Key, Footprint] = {}
        self.node: Node | None = None
        self.last: Footprint = {}

    def choose(self, label: str, options: Sequence[Any]) -> int:
        """Follow the path; behind its end, take the first option that is not asleep.

        Raises:
            Pruned: all options are asleep.
            NondeterministicScenarioError: the options are not those of the execution before.
        """
        if label == ORDER:
            return self._order(options)
        return self._visit(label, tuple(map(str, options)), 0).current

    def _order(self, options: Sequence[Happening]) -> int:
        keys = tuple(option.key for option in options)
        sleep = self.sleep
        awake = next((i for i, key in enumerate(keys) if key not in sleep), None) if sleep else 0
        if awake is None:
            raise Pruned
        if len(keys) == 1:
            self.node = None
            self.candidates = sleep
            return 0
        node = self.node = self._visit(ORDER, keys, awake)
        self.candidates = {**node.sleep, **node.explored}
        return node.current

    def _visit(self, label: str, keys: tuple[Any, ...], first: int) -> Node:
        search, depth = self.search, self.depth
        path = search.path
        self.depth = depth + 1
        if depth == len(path):
            node = Node(label, keys, self.sleep if label == ORDER else {}, first)
            path.append(node)
            search.check_share()
            return node
        node = path[depth]
        if node.keys != keys or node.label != label:
            raise NondeterministicScenarioError(_difference(node, label, keys, depth))
        if depth + 1 == len(path):
            search.check_share()
        return node

    def happened(self, happening: Happening, footprint: Footprint) -> None:
        """Wake what conflicts with what has just happened."""
        del happening
        self.search.count_logs(footprint)
        self.last = footprint
        node = self.node
        if not self.search.reduce:
            return
        if node is not None:
            _merge(node.footprint, footprint)
        self.sleep = {key: touched for key, touched in self.candidates.items() if independent(touched, footprint)}

    def is_foreign(self) -> bool:
        """Whether the execution that is over counts for another share, which runs it too."""
        share = self.search.share
        return share is not None and share.disowns(*self.search.taken())

    def barrier(self) -> None:
        """The test looks at the world: what has just happened cannot be swapped with anything that it could see."""
        if self.last and self.search.reduce:
            self.last[TEST] = "w"
            if self.node is not None:
                self.node.footprint[TEST] = "w"
            self.sleep = {key: touched for key, touched in self.sleep.items() if independent(touched, self.last)}


def _merge(into: Footprint, footprint: Footprint) -> None:
    for key, mode in footprint.items():
        before = into.get(key, mode)
        into[key] = mode if before == mode else "w"


def independent(one: Footprint, other: Footprint) -> bool:
    """Whether two happenings may be swapped: on whatever both touched, both read, or both update commutatively."""
    if len(one) > len(other):
        one, other = other, one
    for key, mode in one.items():
        opposite = other.get(key)
        if opposite is not None and (mode == "w" or mode != opposite):
            return False
    return True


def _difference(node: Node, label: str, keys: tuple[Any, ...], depth: int) -> str:
    def words(of: str, options: tuple[Any, ...]) -> str:
        return f"{of}: " + ", ".join(" ".join(key) if isinstance(key, tuple) else str(key) for key in options)

    return (
        f"the scenario is not deterministic: with the same choices before, choice {depth} was\n"
        f"  {words(node.label, node.keys)}\nand is now\n  {words(label, keys)}\n"
        f"{OUTSIDE}"
    )


# -- simple searches, and all in turn ---------------------------------------------------------------------------------


class Once:
    """The default order, and nothing else."""

    def __init__(self) -> None:
        self.complete = False
        self.pruned = 0

    def next(self) -> Follow | None:
        """The default order, once."""
        return None if self.complete else Follow(())

    def take(self, share: Share) -> None:
        """There is nothing to share."""

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """That was it."""
        del pruned, looked
        self.complete = True


class Singles:
    """The default order, and then every single deviation from it."""

    def __init__(self) -> None:
        self.complete = False
        self.pruned = 0
        self.left: list[list[int]] = [[]]
        self._first: Recording | None = None
        self._share = slice(None)

    def take(self, share: Share) -> None:
        """Every so manieth deviation only; the default order belongs to all shares, as it says what there is."""
        self._share = slice(share.number, None, share.of)

    def next(self) -> Any:
        """The default order first, as it says which deviations there are."""
        if not self.left:
            self.complete = True
            return None
        indices = self.left.pop()
        chooser = Recording(indices)
        if self._first is None:
            self._first = chooser
        return chooser

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """After the default order: list all deviations from it."""
        del pruned, looked
        if self._first is not None and self._first.counts:
            counts, self._first.counts = self._first.counts, []
            for position in range(len(counts) - 1, -1, -1):
                self.left += [[0] * position + [index] for index in range(counts[position] - 1, 0, -1)]
            self.left = self.left[self._share]


class Recording(Follow):
    """Follows indices and remembers how many options there were."""

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__(indices)
        self.counts: list[int] = []

    def choose(self, label: str, options: Sequence[object]) -> int:
        """The next index."""
        self.counts.append(len(options))
        return super().choose(label, options)


class Labelled(Recording):
    """Remembers what the choices were about."""

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__(indices)
        self.labels: list[tuple[str, int]] = []

    def choose(self, label: str, options: Sequence[object]) -> int:
        """The next index."""
        self.labels.append((label, len(options)))
        return super().choose(label, options)


class Pipeline:
    """What ``explore=True`` means: default order, single deviations, all orders in half the budget, then sampling."""

    def __init__(self, seed: int, budget: int) -> None:
        self.every = Every()
        self.stages: tuple[tuple[Search, int], ...] = (
            (Singles(), max(1, budget // 4)),
            (self.every, max(1, budget // 2)),
            (Sampling(PORTFOLIO, seed), budget),
        )
        self.stage = 0
        self.used = 0

    def take(self, share: Share) -> None:
        """A share of every stage."""
        for search, _ in self.stages:
            search.take(share)  # type: ignore[attr-defined]  # all of these can be shared

    @property
    def complete(self) -> bool:
        """Whether all orders were tried."""
        return self.every.complete

    @property
    def pruned(self) -> int:
        """Executions that were left early."""
        return self.every.pruned

    def next(self) -> Any:
        """The next chooser of the present stage, or of the one after it."""
        while self.stage < len(self.stages) and not self.complete:
            search, budget = self.stages[self.stage]
            chooser = search.next() if self.used < budget else None
            if chooser is not None:
                self.used += 1
                return chooser
            self.stage += 1
            self.used = 0
        return None

    def done(self, *, pruned: bool, looked: frozenset[str]) -> None:
        """Tell the present stage."""
        self.stages[self.stage][0].done(pruned=pruned, looked=looked)


def search_for(strategy: object, seed: int, budget: int, share: Share | None = None) -> Search:
    """The search that a strategy names: "every", "random", "pct", or True for all of them in turn; a share of it.

    Raises:
        UsageError: there is no such strategy, or it cannot be shared.
    """
    make = STRATEGIES.get("all" if strategy is True else str(strategy))
    if make is None:
        names = ", ".join(map(repr, STRATEGIES))
        msg = f"{strategy!r} is not a strategy of exploration; say one of {names}, or True for all in turn"
        raise UsageError(msg)
    search = make(seed, budget)
    if share is not None:
        if not hasattr(search, "take"):
            msg = f"the strategy {strategy!r} cannot be spread over shards: its search has no take(share)"
            raise UsageError(msg)
        search.take(share)
    return search


STRATEGIES: dict[str, Callable[[int, int], Search]] = {
    "every": lambda seed, budget: Every(),  # noqa: ARG005 - the signature of the table
    "random": lambda seed, budget: Sampling(("random",), seed),  # noqa: ARG005 - as above
    "pct": lambda seed, budget: Sampling(("pct",), seed),  # noqa: ARG005 - as above
    "all": Pipeline,
}
"""Strategies by name; each is given a seed and how many schedules will be run at most."""
