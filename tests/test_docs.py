"""Every Python block of the README and of the docs runs as a test, and what the docs show is what pytest shows.

The blocks of a page are one test file, in order, each on the lines that it has in the page. Two comments may stand in
front of a block: `<!-- fails -->` says that its tests must fail, `<!-- shown -->` that its lines stand in the output.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import pytest_durable

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?ms)(?:<!-- (?P<note>fails|shown) -->\n+)?^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$")


@dataclass
class Block:
    """One fence of a page."""

    page: Path
    kind: str
    note: str
    first: int
    text: str

    def __str__(self):
        """`how-to/faults.md:17`, for test ids."""
        name = self.page.relative_to(ROOT / "docs" if self.page.parent != ROOT else ROOT)
        return f"{name.as_posix()}:{self.first}"

    def defines(self, nodeid):
        """Whether a test is one of this block: its function or class is named in it."""
        name = re.split(r"[^\w]", nodeid.partition("::")[2])[0]
        return re.search(rf"(?m)^(?:(?:async )?def |class |){name}(?:\(| = )", self.text) is not None

    def has_tests(self):
        """Whether pytest finds tests in it."""
        return re.search(r"(?m)^(?:(?:async )?def t|class T|T)est", self.text) is not None


@dataclass
class Outcome:
    """What became of a page: whether each test passed, by its node id, and all that was printed."""

    tests: dict[str, bool] = field(default_factory=dict)
    broken: bool = False
    output: str = ""


def blocks_of(page):
    """All fences of a page, in order."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for found in FENCE.finditer(text):
        first = text.count("\n", 0, found.start("text")) + 1
        blocks.append(Block(page, found["kind"].strip(), found["note"] or "", first, found["text"]))
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.kind == "python"]
SHOWN = [block for block in BLOCKS if block.note == "shown"]
OUTCOMES: dict[Path, Outcome] = {}

# pytester forgets the modules that were imported while it ran a page. Those that know each other's classes must not be
# imported a second time for the next page, so all of them are imported before the first.
PUBLIC = {name: getattr(pytest_durable, name) for name in ["explore", *pytest_durable.__all__]}
MODULES = [info.name for info in walk_packages(pytest_durable.__path__, "pytest_durable.")]
for module in ["freezegun", "hypothesis", "inngest", *MODULES]:
    with suppress(ImportError):  # an adapter whose SDK is not here
        import_module(module)
RAN = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
OPTIONS = ["-rA", "-W", "ignore:The configuration option:DeprecationWarning", "-p", "no:randomly"]


def outcome_of(page, pytester):
    """Run a page as one test file, once for all its blocks."""
    if page in OUTCOMES:
        return OUTCOMES[page]
    source = [""] * (page.read_text(encoding="utf-8").count("\n") + 1)
    for block in PYTHON:
        if block.page == page:
            lines = block.text.splitlines()
            source[block.first - 1 : block.first - 1 + len(lines)] = lines
    name = f"test_{page.stem.replace('-', '_')}.py"
    pytester.path.joinpath(name).write_text("\n".join(source) + "\n", encoding="utf-8")
    result = pytester.runpytest_inprocess(name, *OPTIONS)
    outcome = OUTCOMES[page] = Outcome(broken=result.ret not in RAN, output=result.stdout.str())
    for report in result.reprec.getreports("pytest_runtest_logreport"):
        outcome.tests[report.nodeid] = outcome.tests.get(report.nodeid, True) and not report.failed
    return outcome


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_runs(block, pytester):
    """A block runs where it stands in its page, and its tests pass, or fail if the page says so."""
    outcome = outcome_of(block.page, pytester)
    assert not outcome.broken, outcome.output

    tests = {test: passed for test, passed in outcome.tests.items() if block.defines(test)}
    assert bool(tests) == block.has_tests(), outcome.output
    assert [test for test, passed in tests.items() if passed is (block.note == "fails")] == [], outcome.output


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_a_shown_block_is_what_is_printed(block, pytester):
    """Every line of a block of output, except `...`, is a line of what the page prints."""
    printed = {line.strip() for line in outcome_of(block.page, pytester).output.splitlines()}

    assert [line for line in block.text.splitlines() if line.strip() not in {*printed, "", "..."}] == []


def test_no_block_is_left_out():
    """A fence is one of the kinds known here: Python without exceptions, or what is not Python."""
    known = {"python", "text", "sh", "ini", "toml", "json", "{toctree}"}

    assert [str(block) for block in BLOCKS if block.kind not in known] == []


def test_every_public_name_has_its_place_in_the_reference():
    """What can be imported is explained in docs/reference, and so is what simulations, runs and reports have."""
    reference = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "reference")
    classes = ["Simulation", "Run", "History", "Limits", "Report"]
    names = [
        *PUBLIC,
        *(
            name
            for owner in classes
            for kind in PUBLIC[owner].__mro__[:-1]
            for name in vars(kind)
            if not name.startswith("_")
        ),
    ]

    internal = {
        "drive_to",
        "function_of",
        "describe_wait",
        "retire",
        "look",
        "looked",
        "idle_faults",
        "DurableFunction",
    }
    assert [name for name in names if name not in internal and not re.search(rf"\b{name}\b", reference)] == []


def test_the_docs_use_no_name_that_a_simulation_does_not_have():
    """`durable.x` and `sim.x` in a page are attributes of a simulation."""
    with PUBLIC["Simulation"]() as simulation:
        known = {name for name in dir(simulation) if not name.startswith("_")}
    used = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"(?<![\w.@\"'-])(?:durable|sim)\.([a-z]\w*)", page.read_text(encoding="utf-8"))
    }

    assert sorted((page, name) for page, name in used if name not in known) == []
