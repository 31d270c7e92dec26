"""The bus: which names a trigger means, who listens, and what is said about an event."""

import pytest

from pytest_durable._core.bus import BusEvent, Listeners, Outcome, Pause, fits
from pytest_durable._core.runs import FunctionSpec, RunState, Trigger


def run_of(name):
    """A run of a function that nobody executes."""
    event = {"data": {}, "id": "e", "name": "start", "ts": 0}
    return RunState(f"run of {name}", FunctionSpec(name, host=None), [event], 0)


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("app/user.created", "app/user.created", True),
        ("app/*", "app/user.created", True),
        ("app/user.*", "app/user.created", True),
        ("app/user.*", "app/user.created.late", True),
        ("app/*", "app/eu/user", True),
        ("app/*", "app", False),
        ("app/*", "app/", False),
        ("app/*", "application/x", False),
        ("app/user.*", "app/user", False),
        ("app/user.*", "app/username", False),
        ("*", "app/user.created", False),
        ("*", "*", True),
        ("app*", "app/user", False),
        ("app/*.created", "app/user.created", False),
        ("app/user.created", "app/user.creatED", False),
        ("app/user.created", "app/user.created ", False),
    ],
)
def test_a_trigger_means_its_name_or_all_behind_a_trailing_star(pattern, name, meant):
    """A star counts behind a slash or a dot, at the end, and nowhere else."""
    assert fits(pattern, name) is meant


def test_an_outcome_says_everything_in_one_line():
    """Started, woken, cancelled, and then why not the others."""
    outcome = Outcome()
    assert str(outcome) == "nobody listened"
    outcome.started += ["a", "b"]
    outcome.woke.append("c at 'wait'")
    outcome.refused.append("did not start d: no")
    assert str(outcome) == "started a, b; woke c at 'wait'; did not start d: no"


def test_an_event_keeps_what_it_was():
    """Each copy of the wire form is fresh, and equal to what was sent."""
    event = BusEvent({"name": "x", "data": {"a": [1]}, "id": "i", "ts": 0}, "sending", 0, None)
    event.copy()["data"]["a"].append(2)
    assert event.copy()["data"] == {"a": [1]}


def test_pauses_are_in_the_order_of_registration():
    """Who began to wait first is asked first, by the exact name."""
    listeners = Listeners()
    pauses = [Pause(run_of(name), None, event, lambda e: None, None) for name, event in ("ax", "bx", "cy", "dx")]
    for pause in pauses:
        listeners.add(pause)
    assert listeners.pauses("x") == [pauses[0], pauses[1], pauses[3]]
    listeners.remove(pauses[1])
    assert listeners.pauses("x") == [pauses[0], pauses[3]]
    assert listeners.pauses("nobody") == []


def test_a_run_that_ended_listens_no_more():
    """Its pauses and its signals are forgotten, those of others are not."""
    listeners = Listeners()
    gone, other = run_of("gone"), run_of("other")
    for run in (gone, other):
        listeners.add(Pause(run, None, "x", lambda e: None, None))
        listeners.signals[run.id] = (run, None)
    listeners.remove_run(gone)
    assert [pause.run for pause in listeners.pauses("x")] == [other]
    assert list(listeners.signals) == [other.id]
    listeners.remove_run(gone)


def test_a_function_is_found_by_its_triggers():
    """With all of its triggers that mean the name, in the order in which they were written."""
    listeners = Listeners()
    one, all_, other = Trigger("app/x"), Trigger("app/*"), Trigger("app/y")
    listeners.functions["f"] = FunctionSpec("f", host=None, triggers=[one, other, all_])
    listeners.functions["g"] = FunctionSpec("g", host=None, triggers=[other])
    listeners.functions["h"] = FunctionSpec("h", host=None)
    assert [(spec.id, triggers) for spec, triggers in listeners.triggered("app/x")] == [("f", [one, all_])]
    assert listeners.anybody("app/y")
    assert not listeners.anybody("y")
