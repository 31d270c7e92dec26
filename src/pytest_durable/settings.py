"""What the marker, the command line and the ini file say about one test, parsed once into one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .shares import Share

SIMULATION = ("start", "seed", "replay", "limits", "clock", "allow")
"""Arguments of the marker that the simulation takes."""

EXPLORATION = ("explore", "examples", "faults", "max_schedules", "max_faults", "max_seconds")
"""Arguments of the marker that are about exploration."""

MOST = {"every": 10_000, "random": 200, "pct": 200}
"""How many schedules a strategy runs, unless it is told."""
MOST_OTHERWISE = 1_000


@dataclass(frozen=True)
class Settings:
    """The settings of one test.

    Attributes:
        explore: a strategy, or None for the default order alone.
        examples: schedules by names, which are run first.
        faults: faults or their names.
        max_schedules, max_faults, max_seconds: the budget.
        share: the share of the search that is this item's, or None for all of it.
        schedule: the only schedule to run (``--durable-replay``), or None.
        seed: of the command line or the ini file, where the marker has none of its own.
        simulation: arguments of ``Simulation``.
    """

    explore: Any = None
    examples: tuple[str, ...] = ()
    faults: tuple[Any, ...] = ()
    max_schedules: int = 0
    max_faults: int = 1
    max_seconds: float | None = None
    share: Share | None = None
    schedule: str | None = None
    seed: int | None = None
    simulation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        """How many schedules to run at most."""
        whole = self.max_schedules or MOST.get(self.explore, MOST_OTHERWISE)
        return whole if self.share is None else self.share.budget(whole)


def parse(marker: Mapping[str, Any], options: Mapping[str, Any]) -> Settings:
    """Settings from the arguments of the marker and from options, which win; not over a seed or ``explore=False``.

    Raises:
        UsageError: an argument that the marker does not have, or a value that it cannot take.
    """
    unknown = sorted(set(marker) - {*SIMULATION, *EXPLORATION})
    if unknown:
        known = ", ".join((*SIMULATION, *EXPLORATION))
        msg = f"@pytest.mark.durable has no argument {', '.join(map(repr, unknown))}; it has {known}"
        raise UsageError(msg)
    settings = Settings(
        explore=marker.get("explore") or None,
        examples=_tuple(marker.get("examples", ()), "examples"),
        faults=_tuple(marker.get("faults", ()), "faults"),
        max_schedules=_number(marker["max_schedules"], "max_schedules", 1) if "max_schedules" in marker else 0,
        max_faults=_number(marker.get("max_faults", 1), "max_faults", 0),
        max_seconds=_seconds(marker.get("max_seconds")),
        simulation={key: marker[key] for key in SIMULATION if key in marker},
    )
    if options.get("explore") and marker.get("explore") is not False:
        settings = replace(settings, explore=_strategy(options["explore"]))
    if options.get("schedules"):
        settings = replace(settings, max_schedules=_number(options["schedules"], "--durable-schedules", 1))
    if options.get("seed") is not None:
        seed = _number(options["seed"], "--durable-seed", 0)
        if "seed" not in settings.simulation:
            settings = replace(settings, seed=seed, simulation={"seed": seed, **settings.simulation})
    if options.get("replay"):
        settings = replace(settings, schedule=options["replay"])
    return settings


def _strategy(text: str) -> str | bool:
    return True if text.lower() in {"true", "all", "1"} else text


def _number(value: Any, what: str, least: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if isinstance(value, bool) or number < least:
        msg = f"{what}={value!r} is not a whole number from {least} on"
        raise UsageError(msg)
    return number


def _seconds(value: Any) -> float | None:
    if value is not None and not (isinstance(value, (int, float)) and value > 0):
        msg = f"max_seconds={value!r} is not a number above 0"
        raise UsageError(msg)
    return value


def _tuple(value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        msg = f"{what}={value!r} is not a list; write {what}=[{value!r}]"
        raise UsageError(msg)
    return tuple(value)
