"""Quiz: ask three questions in a shuffled order.

The body shuffles them, and again on every replay. The battery sees the shuffle, or steps that differ. The
twin shuffles in a step.
"""

import random

from pytest_durable import ContextSync, checks, durable_function

DEVIATIONS = None
QUESTIONS = ["capital", "river", "mountain"]


def shuffled():
    return random.sample(QUESTIONS, len(QUESTIONS))


@durable_function("quiz", trigger="quiz/begun")
def quiz_bug(ctx: ContextSync):
    questions = list(QUESTIONS)
    random.shuffle(questions)
    return [ctx.step.run("ask", lambda q=question: f"asked {q}") for question in questions]


@durable_function("quiz-step", trigger="quiz/begun")
def quiz_ok(ctx: ContextSync):
    questions = ctx.step.run("shuffle", shuffled)
    return [ctx.step.run("ask", lambda q=question: f"asked {q}") for question in questions]


def test_bug():
    """The check reports the defect."""
    checks.check_durable(quiz_bug)


def test_ok():
    """The check has nothing against the twin."""
    checks.check_durable(quiz_ok)
