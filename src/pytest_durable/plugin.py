"""The pytest plugin: options, the fixture, the marker and the hooks. Nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .arrivals import when_imported

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .explored import Turns
    from .settings import Settings
    from .simulation import Simulation

OPTIONS = {
    "explore": ("STRATEGY", "run every test that uses 'durable' under many schedules: every, pct, random or all"),
    "schedules": ("N", "how many schedules a test is run under at most"),
    "shards": ("N", "spread each exploration over N items, each with a share of the schedules (for xdist)"),
    "seed": ("N", "the seed of simulations and of sampled schedules"),
    "replay": ("SCHEDULE", "run the selected test under this one schedule"),
    "report": ("DIR", "write a report of every failing durable test into this folder"),
    "cov-fail-under": ("PERCENT", "fail if fewer of the durable decisions were exercised; implies --durable-cov"),
}

TURNS = pytest.StashKey["Turns"]()
FAILED = pytest.StashKey[bool]()
DECISIONS = pytest.StashKey[Any]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """The ports that third parties implement."""
    from . import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_load_initial_conftests() -> None:
    """Adapt to an SDK before the first function of it is made, so that each knows its client."""
    when_imported("inngest", _adapt)


def _adapt() -> None:
    from . import adapters

    adapters.ready()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--durable-...``, each also an ini key ``durable_...``."""
    group = parser.getgroup("durable", "durable functions")
    for name, (metavar, text) in OPTIONS.items():
        group.addoption(f"--durable-{name}", metavar=metavar, default=None, help=text)
        parser.addini(f"durable_{name.replace('-', '_')}", text, default="")
    text = "say which durable decisions (outcomes of steps and waits) the tests exercised"
    group.addoption("--durable-cov", action="store_true", default=False, help=text)
    parser.addini("durable_cov", text, type="bool", default=False)
    parser.addini("durable_clock", "what shows virtual time to the process: time-machine, freezegun or off", default="")


def option(config: pytest.Config, name: str) -> Any:
    """An option of the command line, or the ini key of that name."""
    key = f"durable_{name.replace('-', '_')}"
    value = config.getoption(key)
    return value if value not in {None, False} else config.getini(key) or None


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; refuse options that cannot be meant before anything is run."""
    check_options(config)
    config.addinivalue_line(
        "markers",
        "durable(explore, examples, faults, max_schedules, max_faults, max_seconds, start, seed, replay, clock, "
        "limits, allow): how the simulation of the fixture 'durable' is set up, and whether its schedules are explored",
    )


def check_options(config: pytest.Config) -> None:
    """Look at the options that are given, before any test.

    Raises:
        pytest.UsageError: one cannot be meant.
    """
    given = {name: value for name in OPTIONS if (value := option(config, name))}
    if not given:
        return
    least_decisions(config)
    folder = Path(given.get("report", "."))
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    if there.exists() and not there.is_dir():
        msg = f"--durable-report={folder}: {there} is a file; name a folder, which is made if it is not there"
        raise pytest.UsageError(msg)
    from ._core.errors import UsageError
    from .settings import parse

    try:
        parse({}, given)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a strategy that nobody has, as soon as all conftests have said which there are."""
    strategy = option(session.config, "explore")
    if strategy is None:
        return
    from ._core.errors import UsageError
    from .choosers import search_for
    from .settings import parse

    learn(session.config)
    try:
        search_for(parse({}, {"explore": strategy}).explore, 0, 1)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the options say, if they say anything."""
    said = [f"{name}={value}" for name in OPTIONS if (value := option(config, name))]
    return f"durable: {', '.join(said)}" if said else None


def settings_of(item: pytest.Item) -> Settings:
    """The settings of a test: its markers, the nearest winning, and the options."""
    from ._core.errors import UsageError
    from .settings import parse

    marker: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("durable"))):
        if mark.args:
            given = ", ".join(map(repr, mark.args))
            msg = f"@pytest.mark.durable({given}) takes its arguments by name; write explore={mark.args[0]!r}"
            raise UsageError(msg)
        marker.update(mark.kwargs)
    options = {name: option(item.config, name) for name in OPTIONS}
    if clock := item.config.getini("durable_clock"):
        marker.setdefault("clock", clock)
    return parse(marker, options)


def learn(config: pytest.Config) -> None:
    """Take what third parties add, once, before the first durable test."""
    if DECISIONS in config.stash:
        return
    from . import adapters, choosers, decisions, faults

    config.stash[DECISIONS] = decisions.Decisions()
    for hosts in config.hook.pytest_durable_hosts():
        adapters.HOSTS.extend(host for host in hosts if host not in adapters.HOSTS)
    for table in config.hook.pytest_durable_faults():
        faults.BY_NAME.update(table)
    for table in config.hook.pytest_durable_strategies():
        choosers.STRATEGIES.update(table)
    for table in config.hook.pytest_durable_checks():
        from .checks import BATTERY

        BATTERY.update(table)


def decisions_of(config: pytest.Config) -> Any:
    """The table of decisions of this process, and of its workers."""
    if DECISIONS not in config.stash:
        from .decisions import Decisions

        config.stash[DECISIONS] = Decisions()
    return config.stash[DECISIONS]


def least_decisions(config: pytest.Config) -> float | None:
    """The percentage of ``--durable-cov-fail-under``, or None.

    Raises:
        pytest.UsageError: it is no number.
    """
    value = option(config, "cov-fail-under")
    try:
        return None if value is None else float(value)
    except ValueError:
        msg = f"--durable-cov-fail-under={value!r} is not a number"
        raise pytest.UsageError(msg) from None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the decisions of a worker to the controller, and fail a session that exercised too few."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["durable_decisions"] = decisions_of(config).table
        return
    least = least_decisions(config)
    if least is not None and decisions_of(config).percentage() < least and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the decisions of a worker of xdist."""
    table = getattr(node, "workeroutput", {}).get("durable_decisions")
    if table:
        decisions_of(node.config).merge(table)


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make an item of each share of an exploration, if that is wanted."""
    count = option(metafunc.config, "shards")
    if count is None or "durable" not in metafunc.fixturenames:
        return
    from ._core.errors import UsageError
    from .sharding import split

    try:
        settings = settings_of(metafunc.definition)
    except UsageError:
        return  # said once the test is set up
    split(metafunc, settings, count)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Prepare the executions of a test that uses the fixture."""
    if "durable" not in getattr(item, "fixturenames", ()):
        return
    from dataclasses import replace

    from .explored import Turns
    from .sharding import share_of

    learn(item.config)
    settings = replace(settings_of(item), share=share_of(item))
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        settings = replace(settings, explore=None, examples=())
    item.stash[TURNS] = Turns(item, settings)
    item.stash[FAILED] = False


@pytest.fixture
def durable(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """A simulation: a world in virtual time for durable functions. The marker ``durable`` takes its arguments."""
    item = request.node
    turns: Turns = item.stash[TURNS]
    simulation = turns.open()
    simulation.__enter__()
    try:
        yield simulation
    finally:
        simulation.close()
        if option(item.config, "cov") or option(item.config, "cov-fail-under"):
            decisions_of(item.config).add(simulation)
    turns.closed(simulation, failed=item.stash[FAILED])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run an explored test under its further schedules, inside the call phase of the one item."""
    turns = item.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    if not (turns.exploring or turns.settings.schedule):
        result = yield
        if turns.simulation is not None:
            turns.simulation.check_monitors()
        return result
    from .exploration import ENDING

    error: BaseException | None = None
    result = None
    try:
        with turns.fence():
            result = yield
    except ENDING as raised:
        error = raised
    if not turns.exploring:
        if error is not None:
            raise error
        if turns.simulation is not None:
            turns.simulation.check_monitors()
        turns.chooser.finish()
        return result

    def first() -> None:
        if error is not None:
            raise error

    turns.explore(turns.trial(first))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what a failing test shows: its timeline, its schedule, and the line that replays it."""
    report = yield
    turns = item.stash.get(TURNS, None)
    if turns is None:
        return report
    if not report.passed:
        item.stash[FAILED] = True
    if report.failed and turns.simulation is not None:
        text = turns.simulation.report()
        report.sections.append(("durable timeline", text or "no run was started"))
        if turns.exploring or turns.settings.schedule:
            report.sections.append(("durable schedule", turns.tell()))
        if folder := option(item.config, "report"):
            from .report_files import write

            write(folder, item.nodeid, turns, report)
    if report.when == "call" and turns.report is not None:
        # A plain attribute of a report crosses from the workers of xdist to the terminal.
        report.__dict__["durable_exploration"] = turns.found(failed=report.failed)
        if report.passed:
            from .progress import section

            report.sections.append(("durable exploration", section(turns.report)))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how far each exploration went; one that is incomplete never looks like a complete one."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            found = getattr(report, "durable_exploration", None)
            if found is not None:
                from .sharding import whole

                parts.setdefault(whole(report.nodeid), []).append(found)
    lines = []
    for nodeid, found in sorted(parts.items()):
        from .sharding import told

        text, complete = told(found)
        lone_failure = len(found) == 1 and found[0]["failed"]
        if config.get_verbosity() > 0 or not (complete or lone_failure):
            lines.append(f"{nodeid}: {text}")
    if lines:
        terminalreporter.section("durable exploration")
        for line in lines:
            terminalreporter.line(line)
    if option(config, "cov") or option(config, "cov-fail-under"):
        from .decisions import summary

        summary(terminalreporter, decisions_of(config), least_decisions(config))


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """An aligned diff for the steps of a run."""
    for steps, pattern in ((left, right), (right, left)):
        if op == "==" and type(steps).__name__ == "StepLog" and isinstance(pattern, (list, tuple)):
            from .steplog import explain

            return explain(list(steps), list(pattern))  # type: ignore[call-overload]  # a StepLog is a list
    return None
