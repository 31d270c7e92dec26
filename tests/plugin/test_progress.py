"""A long search says now and then how far it is, and a finished one how far it went."""

from pytest_durable.exploration import Report
from pytest_durable.progress import SECONDS, Progress, section


class Reporter:
    """Writes down what it is told to write."""

    def __init__(self):
        self.lines = []

    def ensure_newline(self):
        self.lines.append("")

    def write_line(self, line):
        self.lines.append(line)


def test_a_line_comes_when_the_last_one_is_old():
    """Silence lasts for some seconds at the most, and each line stands on a line of its own."""
    reporter, now, report = Reporter(), [0.0], Report("every", 1)
    progress = Progress(reporter, "test_shop", 10_000, clock=lambda: now[0])
    for number in range(4):
        now[0] = number * SECONDS / 2
        report.schedules = 1000 * number
        progress(report, number)
    assert reporter.lines == ["", "test_shop: 2,000 schedules of at most 10,000, 2 left early, in 5 s"]


def test_a_section_says_how_fast_it_was():
    """The report section of an explored item has the figures and the rate."""
    report = Report("every", 1)
    report.schedules, report.seconds, report.complete = 100, 0.5, True
    assert section(report).endswith("none fails\n0.5 s, 200 schedules a second")


EXPLORED = """
    import pytest
    from pytest_durable import durable_function

    @pytest.mark.durable(explore="every", faults=["crash"])
    def test_shop(durable):
        @durable_function("shop")
        async def shop(ctx):
            await ctx.step.run("charge", lambda: 1)

        durable.run(shop)
"""


def test_an_explored_item_has_a_section(pytester):
    """What a search found can be read of a test that passes, too."""
    pytester.makepyfile(EXPLORED)
    result = pytester.runpytest_subprocess("-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*durable exploration*", "explored 4 schedules*, complete, for at most 1 fault*"])


def test_a_pipe_gets_no_progress(pytester):
    """Where nobody looks at a terminal, no line of progress is written."""
    pytester.makeconftest("import pytest_durable.progress as progress\nprogress.SECONDS = 0")
    pytester.makepyfile(EXPLORED)
    assert "left early, in" not in pytester.runpytest_subprocess().stdout.str()
