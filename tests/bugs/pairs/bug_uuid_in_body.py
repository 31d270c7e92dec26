"""Coupon: make a code, reserve it, mail it.

The code is made in the body, so every replay makes another one: the mail holds a code that was never
reserved. The battery's `impure_body` names the line. The twin makes it in a step.
"""

import uuid

from pytest_durable import ContextSync, checks, durable_function

DEVIATIONS = None


class Coupons:
    """Codes that are valid, and mails."""

    def __init__(self):
        self.valid = set()
        self.mails = []

    def reserve(self, code):
        self.valid.add(code)

    def mail(self, code):
        self.mails.append(code)


coupons = Coupons()


def fresh(sim):
    coupons.__init__()


@durable_function("coupon", trigger="coupon/won")
def coupon_bug(ctx: ContextSync):
    code = str(uuid.uuid4())
    ctx.step.run("reserve", coupons.reserve, code)
    ctx.step.run("mail", coupons.mail, code)


@durable_function("coupon-step", trigger="coupon/won")
def coupon_ok(ctx: ContextSync):
    code = ctx.step.run("code", lambda: str(uuid.uuid4()))
    ctx.step.run("reserve", coupons.reserve, code)
    ctx.step.run("mail", coupons.mail, code)


def test_bug():
    """The check reports the defect."""
    checks.check_durable(coupon_bug, setup=fresh)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(coupon_ok, setup=fresh)
