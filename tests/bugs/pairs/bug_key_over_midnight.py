"""Daily report: mail the report of the day once, whatever happens.

The message id is made of today's date, read where the mail is sent. A retry that falls behind midnight makes
another id, and the report of the same order goes out twice: one crash after `mail`, ten seconds before the
day ends. The twin takes the day from the event that asked for the report.
"""

from datetime import UTC, datetime

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 1
LATE = "2025-03-31T23:59:50Z"


class Mailer:
    """Sends a message id once."""

    def reset(self):
        self.sent = {}

    def send_today(self, team):
        return self.send(f"{team}/{datetime.now(UTC):%Y-%m-%d}")

    def send(self, message):
        self.sent[message] = self.sent.get(message, 0) or 1
        return message


mailer = Mailer()


@pytest.fixture(autouse=True)
def fresh(durable):
    mailer.reset()


@durable_function("daily-report", trigger="report/due")
def report_bug(ctx: ContextSync):
    return ctx.step.run("mail", mailer.send_today, ctx.event.data["team"])


@durable_function("daily-report-of-a-day", trigger="report/due")
def report_ok(ctx: ContextSync):
    return ctx.step.run("mail", mailer.send, f"{ctx.event.data['team']}/{ctx.event.data['day']}")


def mails_once(durable, report):
    durable.start(report, {"team": "red", "day": "2025-03-31"})
    durable.advance("1d")
    assert len(mailer.sent) == 1


@pytest.mark.durable(explore="every", faults=["crash"], start=LATE)
def test_bug(durable):
    """Some schedule shows the defect."""
    mails_once(durable, report_bug)


@pytest.mark.durable(explore="every", faults=["crash"], start=LATE)
def test_ok(durable):
    """No schedule breaks the twin."""
    mails_once(durable, report_ok)
