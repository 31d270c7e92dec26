"""Every Python block of the README and of the docs runs as a test, and what the docs show is what pytest shows.

The blocks of a page are one test file, in order, each on the lines that it has in the page. In front of a block,
`<!-- fails -->` says that its tests must fail, and `<!-- shown -->` in front of a text block that its lines stand in the
output of the page.
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
FENCE = re.compile(r"(?:<!-- (?P<note>fails|shown) -->\n+)?^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)


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

    def lines(self):
        """The lines that the block has in its page."""
        return range(self.first, self.first + self.text.count("\n"))


@dataclass
class Outcome:
    """What became of a page: (line, test, passed) for each test, and all that was printed."""

    tests: list[tuple[int, str, bool]] = field(default_factory=list)
    broken: bool = False
    output: str = ""


def blocks_of(page):
    """All fences of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, found["kind"].strip(), found["note"] or "", text.count("\n", 0, found.start("text")) + 1, found["text"])
        for found in FENCE.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.kind == "python"]
SHOWN = [block for block in BLOCKS if block.note == "shown"]
OUTCOMES: dict[Path, Outcome] = {}

# pytester forgets the modules that were imported while it ran a page. Those that know each other's classes must not be
# imported a second time for the next page, so all of them are imported before the first: the public names, then the rest
# (`explore` first: the function and its module share a name).
PUBLIC = {name: getattr(pytest_durable, name) for name in ["explore", *pytest_durable.__all__]}
for module in ["freezegun", "hypothesis", *(info.name for info in walk_packages(pytest_durable.__path__, "pytest_durable."))]:
    with suppress(ImportError):  # an adapter whose SDK is not here
        import_module(module)


def outcome_of(page, pytester):
    """Run a page as one test file, once for all its blocks."""
    if page in OUTCOMES:
        return OUTCOMES[page]
    source = [""] * (page.read_text(encoding="utf-8").count("\n") + 1)
    for block in PYTHON:
        if block.page == page:
            source[block.first - 1 : block.first - 1 + len(block.lines())] = block.text.splitlines()
    name = f"test_{page.stem.replace('-', '_')}.py"
    pytester.path.joinpath(name).write_text("\n".join(source) + "\n", encoding="utf-8")
    result = pytester.runpytest_inprocess(name, "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA")
    outcome = OUTCOMES[page] = Outcome(output=result.stdout.str())
    outcome.broken = result.ret not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
    verdicts: dict[tuple[int, str], bool] = {}
    for report in result.reprec.getreports("pytest_runtest_logreport"):
        where = (report.location[1] + 1, report.nodeid)
        verdicts[where] = verdicts.get(where, True) and not report.failed
    outcome.tests = [(line, test, passed) for (line, test), passed in verdicts.items()]
    return outcome


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_runs(block, pytester):
    """A block runs where it stands in its page, and its tests pass, or fail if the page says so."""
    outcome = outcome_of(block.page, pytester)
    assert not outcome.broken, outcome.output

    tests = [(test, passed) for line, test, passed in outcome.tests if line in block.lines()]
    assert bool(tests) == bool(re.search(r"^ *(?:async )?def test_", block.text, re.M)), outcome.output
    assert [test for test, passed in tests if passed is (block.note == "fails")] == [], outcome.output


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
    """What can be imported from the package is explained in docs/reference, and so is what a simulation and a run have."""
    reference = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "reference")
    classes = ["Simulation", "Run", "StepRecord", "RunError", "History", "Report"]
    names = [*PUBLIC, *(name for owner in classes for name in vars(PUBLIC[owner]) if not name.startswith("_"))]

    internal = {"drive_to", "function_of", "describe_wait", "DurableFunction"}
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
