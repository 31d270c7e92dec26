"""Account closing: erase the data, then say farewell.

The farewell mail goes out from the body behind the last step. The default order sends it once, because only
the last invocation comes so far; a worker that dies at the very end, before its answer is recorded, comes
back and says farewell again. The twin has a step for the mail, and the mailer knows the message's id.
"""

import pytest

from pytest_durable import ContextSync, durable_function

DEVIATIONS = 1


class Mailer:
    """Counts mails; a known message id is not sent again."""

    def reset(self):
        self.sent = []

    def farewell(self, user):
        self.sent.append(user)

    def farewell_once(self, user):
        if user not in self.sent:
            self.sent.append(user)


mailer = Mailer()


@pytest.fixture(autouse=True)
def fresh(durable):
    mailer.reset()


@durable_function("close-account", trigger="account/closed")
def close_bug(ctx: ContextSync):
    user = ctx.event.data["user"]
    erased = ctx.step.run("erase", lambda: 17)
    mailer.farewell(user)
    return {"erased": erased}


@durable_function("close-account-steps", trigger="account/closed")
def close_ok(ctx: ContextSync):
    user = ctx.event.data["user"]
    erased = ctx.step.run("erase", lambda: 17)
    ctx.step.run("farewell", mailer.farewell_once, user)
    return {"erased": erased}


def says_farewell_once(durable, close):
    durable.start(close, {"user": "uma"})
    durable.advance("1d")
    assert mailer.sent == ["uma"]


@pytest.mark.durable(explore="every", faults=["crash"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    says_farewell_once(durable, close_bug)


@pytest.mark.durable(explore="every", faults=["crash"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    says_farewell_once(durable, close_ok)
