"""Every pair of the corpus: the defect is found with a short story that replays, and the repaired twin passes."""

import ast
import pkgutil
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import pytest_durable

for _name in [module.name for module in pkgutil.walk_packages(pytest_durable.__path__, "pytest_durable.")]:
    # A pytest inside this one forgets, at its end, the modules that it was the first to import.
    if "inngest" not in _name or find_spec("inngest") is not None:
        import_module(_name)
for _name in ("croniter", "hypothesis", "lark", "time_machine"):
    import_module(_name)

FOLDER = Path(__file__).parent / "pairs"
PAIRS = sorted(path.stem.removeprefix("bug_") for path in FOLDER.glob("bug_*.py"))

MISSES: dict[str, str] = {}
"""Correct pairs that the harness does not tell apart yet, and why; an entry goes when its pair passes."""

REPLAYED = (
    "bid_at_the_bell",
    "cancelled_order",
    "early_confirmation",
    "gift_card",
    "never_both_open",
    "parallel_race",
    "two_crashes",
    "webhook_twice",
)
NOT_A_FINDING = re.compile(
    r"(\w+\.)*(AttributeError|ImportError|ModuleNotFoundError|NameError|NotImplementedError|SyntaxError|TypeError"
    r"|UnboundLocalError|UsageError|FixtureLookupError|NondeterministicScenarioError)\b"
)


def execute(pytester, path, *arguments):
    """The reports of a pair's two tests, by the name of the test."""
    options = ("-p", "no:cacheprovider", f"--rootdir={path.parent}", "-c", "/dev/null")
    recorder = pytester.inline_run(*options, *arguments or [str(path)])
    reports = recorder.getreports("pytest_runtest_logreport")
    return {
        name: [report for report in reports if report.nodeid.endswith(f"::{name}")] for name in ("test_bug", "test_ok")
    }


def failure(reports):
    """The message of the exception that failed a test in its call, or None."""
    for report in reports:
        if report.failed:
            assert report.when == "call", report.longreprtext
            return report.longrepr.reprcrash.message
    return None


def deviations_allowed(path):
    """What the pair says of its story: the number of deviations, or None where there is no schedule."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "DEVIATIONS":
            return ast.literal_eval(node.value)
    return pytest.fail(f"{path.name} does not say DEVIATIONS")


def story(reports):
    """The section `durable schedule` of a failing test."""
    return next(text for report in reports for title, text in report.sections if title == "durable schedule")


def deviations(text):
    """How many deviations a story tells of."""
    first = text.splitlines()[0]
    return 0 if first == "default order throughout" else first.count("; then ") + 1


def parameters():
    for name in PAIRS:
        marks = [pytest.mark.xfail(reason=MISSES[name])] if name in MISSES else []
        yield pytest.param(name, marks=marks, id=name)


@pytest.mark.parametrize("name", list(parameters()))
def test_the_defect_is_found_and_the_twin_passes(pytester, name):
    """The defective function fails by what it does, with a story as short as promised; its twin passes."""
    path = FOLDER / f"bug_{name}.py"
    reports = execute(pytester, path)

    assert failure(reports["test_ok"]) is None
    assert [report.outcome for report in reports["test_ok"]] == ["passed"] * 3
    message = failure(reports["test_bug"])
    assert message is not None, "the defect was not found"
    assert not NOT_A_FINDING.match(message), message
    allowed = deviations_allowed(path)
    if allowed is not None:
        assert deviations(story(reports["test_bug"])) <= allowed


@pytest.mark.parametrize("name", REPLAYED)
def test_the_replay_line_shows_the_same_failure(pytester, name):
    """The line under the story, given to pytest again, fails with the same message and the same story."""
    path = FOLDER / f"bug_{name}.py"
    first = execute(pytester, path)["test_bug"]
    told = story(first)
    schedule = re.search(r"--durable-replay=(\S+)", told)[1]

    second = execute(pytester, path, f"{path}::test_bug", f"--durable-replay={schedule}")["test_bug"]

    assert without_addresses(failure(second)) == without_addresses(failure(first))
    assert story(second).splitlines()[0] == told.splitlines()[0]


@pytest.mark.parametrize("name", REPLAYED)
def test_the_example_shows_the_same_failure(pytester, name):
    """The names under the story, given to pytest in place of the schedule, fail with the same message."""
    path = FOLDER / f"bug_{name}.py"
    first = execute(pytester, path)["test_bug"]
    example = ast.literal_eval(re.search(r"examples=\[(.*)\]", story(first))[1])

    second = execute(pytester, path, f"{path}::test_bug", f"--durable-replay={example}")["test_bug"]

    assert without_addresses(failure(second)) == without_addresses(failure(first))


def without_addresses(message):
    """A message without the addresses of objects in it."""
    return re.sub(r"0x[0-9a-f]+", "0x", message)
