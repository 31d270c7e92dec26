"""What the real server refuses and accepts when a function is registered. Semantics 11 and appendix E."""

from datetime import timedelta

import pytest

from pytest_durable import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    ExpressionError,
    Priority,
    RateLimit,
    Simulation,
    Singleton,
    Throttle,
    Timeouts,
    TriggerCron,
    TriggerEvent,
    UsageError,
    durable_function,
)
from pytest_durable.flow_config import flow_of
from pytest_durable.registration import check

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
GO = TriggerEvent(event="go")
FIVE = Batch(max_size=5, timeout=5 * SECOND)


def conditions(*texts):
    """Triggers with these expressions."""
    return [({"trigger": TriggerEvent(event="go", expression=text)}, text) for text in texts]


def cancellations(*texts):
    """Cancellations with these conditions."""
    return [({"cancel": [Cancel(event="stop", if_exp=text)]}, text) for text in texts]


ACCEPTED = [
    *conditions("event.data.x == 1", "async.data.x == 1", "event.data.l.exists(x, x == 1)", "1", "'a'"),
    *conditions("event.data['x'] == 1"),
    *cancellations("event.data.id == async.data.id", "async.data.x in ['a']", "async.data.x > 1 ? true : false"),
    *cancellations("event.data.id == async.data.id || async.data.all"),
    ({}, "plain"),
    ({"retries": 20}, "retries 20"),
    ({"batch_events": FIVE}, "batch"),
    ({"batch_events": Batch(max_size=5, timeout=HOUR)}, "batch of an hour"),
    ({"batch_events": Batch(max_size=5, timeout="30 seconds")}, "batch in words"),
    ({"batch_events": Batch(max_size=5, timeout="24h")}, "batch of 24 hours in words"),
    ({"batch_events": Batch(max_size=1000, timeout=5 * SECOND)}, "batch of a thousand"),
    ({"batch_events": FIVE, "rate_limit": RateLimit(limit=1, period=MINUTE)}, "batch and rate limit"),
    ({"batch_events": FIVE, "concurrency": [Concurrency(limit=1)]}, "batch and concurrency"),
    ({"debounce": Debounce(period=SECOND)}, "debounce"),
    ({"debounce": Debounce(period=7 * DAY)}, "debounce of a week"),
    ({"rate_limit": RateLimit(limit=1, period=DAY)}, "rate limit of a day"),
    ({"throttle": Throttle(limit=1, period=SECOND)}, "throttle"),
    ({"throttle": Throttle(limit=0, period=SECOND)}, "throttle of nothing"),
    ({"throttle": Throttle(limit=1, period=8 * DAY)}, "throttle of eight days"),
    ({"throttle": Throttle(limit=1, period=MINUTE, key="nope(")}, "throttle with a broken key"),
    ({"concurrency": [Concurrency(limit=1), Concurrency(limit=2, key="event.data.x")]}, "two limits"),
    ({"concurrency": Concurrency(limit=1)}, "one limit without a list"),
    ({"concurrency": [Concurrency(limit=0)]}, "concurrency of nothing"),
    ({"concurrency": [Concurrency(limit=1, scope="env", key="'x'")]}, "scope with a key"),
    ({"priority": Priority(run="event.data.p")}, "priority"),
    ({"singleton": Singleton(mode="skip", key="event.data.x")}, "singleton"),
    ({"singleton": Singleton(mode="cancel", key="nope(")}, "singleton with a broken key"),
    ({"idempotency": "event.data.x"}, "idempotency"),
    ({"cancel": [Cancel(event=f"stop{n}") for n in range(5)]}, "five cancellations"),
    ({"timeouts": Timeouts(start=SECOND, finish=MINUTE)}, "timeouts"),
    ({"trigger": []}, "no trigger"),
    ({"trigger": [TriggerEvent(event=f"t{n}") for n in range(10)]}, "ten triggers"),
    ({"trigger": [GO, TriggerEvent(event="go", expression="event.data.x == 1")]}, "one event, two conditions"),
    ({"trigger": TriggerCron(cron="0 9 * * 1-5")}, "cron"),
    ({"trigger": TriggerCron(cron="TZ=Europe/Berlin 0 9 * * *")}, "cron with a zone"),
    ({"trigger": TriggerEvent(event="app/*")}, "wildcard"),
    ({"trigger": TriggerEvent(event="*")}, "star"),
    ({"trigger": TriggerEvent(event="app/*.x")}, "infix"),
    ({"trigger": TriggerEvent(event="inngest/function.failed")}, "internal"),
    ({"trigger": TriggerEvent(event="x" * 255)}, "a name of 255"),
]

REFUSED = [
    *(
        (options, text, text)
        for options, text in conditions(
            "event.data.null == null", "unknown == 1", "data.x == 1", "event.data.x ==", "nonsense(event.data.x)",
            "event.data.s.lowerAscii() == 'a'", "event.data.x = 1", "", "event.data.x and true",
            "event.data.x === 1", "event.data.in == 1", "event.data.true == 1",
        )
    ),
    *(
        (options, text, "in the condition of a cancellation")
        for options, text in cancellations(
            "async.data.l.exists(x, x == 1)", "async.data.n + 1 == 2", "async.data.s.startsWith('a')",
            "lowercase(async.data.s) == 'a'", "size(async.data.l) == 1", "date(async.data.x) < now()",
            "has(async.data.x)",
        )
    ),
    *((options, text, text) for options, text in cancellations("async.data.x ==", "data.x == 1")),
    ({"retries": -1}, "retries", "retries=-1 is not a number from 0"),
    ({"batch_events": Batch(max_size=1, timeout=5 * SECOND)}, "batch of one", "cannot be smaller than 2"),
    ({"batch_events": Batch(max_size=5)}, "batch without end", "batch_events has no timeout"),
    ({"batch_events": Batch(max_size=5, timeout=DAY)}, "batch of a day", "the server cannot read the timeout"),
    ({"batch_events": Batch(max_size=5, timeout="2 days")}, "batch of two days", "the server cannot read the timeout"),
    ({"batch_events": Batch(max_size=5, timeout=500)}, "batch of half a second", "the timeout of 0.5s is too short"),
    ({"batch_events": FIVE, "cancel": [Cancel(event="stop")]}, "batch and cancel", "batch_events and cancel exclude"),
    ({"batch_events": FIVE, "debounce": Debounce(period=5000)}, "batch and debounce", "and debounce exclude"),
    ({"batch_events": FIVE, "singleton": Singleton(mode="skip")}, "batch and singleton", "and singleton exclude"),
    ({"batch_events": FIVE, "priority": Priority(run="1")}, "batch and priority", "and priority exclude"),
    ({"batch_events": Batch(max_size=5, timeout=5000, key="nope(")}, "batch key", "batch_events: key"),
    ({"batch_events": Batch(max_size=5, timeout=5000, if_exp="nope(")}, "batch condition", "batch_events: if_exp"),
    ({"debounce": Debounce(period=8 * DAY)}, "long debounce", "the period of 8d is not between 1s and 7d"),
    ({"debounce": Debounce(period=999)}, "short debounce", "the period of 0.999s is not between 1s and 7d"),
    ({"debounce": Debounce(period=SECOND, key="event.data.")}, "debounce key", "debounce: key"),
    ({"rate_limit": RateLimit(limit=1, period=2 * DAY)}, "long rate limit", "longer than a day"),
    ({"rate_limit": RateLimit(limit=0, period=MINUTE)}, "rate limit of nothing", "must be greater than 0"),
    ({"rate_limit": RateLimit(limit=1, period=MINUTE, key="nope(")}, "rate limit key", "rate_limit: key"),
    ({"rate_limit": RateLimit(limit="5", period=MINUTE)}, "a limit in words", "limit='5' is not a whole number"),
    ({"rate_limit": RateLimit(limit=5, period=None)}, "no period", "rate_limit has no period"),
    ({"concurrency": [Concurrency(limit=n, key=f"event.data.x{n}") for n in (1, 2, 3)]}, "three", "takes 2"),
    ({"concurrency": [Concurrency(limit=1, scope="env")]}, "env without a key", "scope='env' needs a key"),
    ({"concurrency": [Concurrency(limit=1, scope="team", key="'x'")]}, "another scope", "scope='team'; say one of"),
    ({"concurrency": [Concurrency(limit=1, key="nope(")]}, "concurrency key", "concurrency: key"),
    ({"concurrency": 5}, "a number", "concurrency=5 is no Concurrency; write concurrency=Concurrency(limit=...)"),
    ({"priority": Priority(run="nope(")}, "priority", "priority: run"),
    ({"priority": Priority(run=5)}, "a number as priority", "run=5 is no expression"),
    ({"singleton": Singleton(mode="other")}, "another mode", "mode='other'; say \"skip\" or \"cancel\""),
    ({"idempotency": "nope("}, "idempotency", "idempotency: key"),
    ({"cancel": [Cancel(event=f"stop{n}") for n in range(6)]}, "six cancellations", "cancel has 6 entries"),
    ({"trigger": [TriggerEvent(event=f"t{n}") for n in range(11)]}, "eleven triggers", "trigger has 11 entries"),
    ({"trigger": [GO, GO]}, "one trigger twice", "'go' stands there twice"),
    ({"trigger": [TriggerCron(cron="0 9 * * *")] * 2}, "one cron twice", "'0 9 * * *' stands there twice"),
    *(
        ({"trigger": TriggerCron(cron=cron)}, f"cron {cron!r}", "is not a valid cron schedule")
        for cron in ("@daily", "0 0 9 * * *", "61 * * * *", "")
    ),
    ({"trigger": TriggerCron(cron=",".join(map(str, range(60))) + " 0" + ",0" * 50 + " * * *")},
     "long cron", "characters; 255 are allowed"),
    ({"trigger": TriggerEvent(event="")}, "no name", "no trigger"),
    ({"trigger": TriggerEvent(event="x" * 256)}, "a name of 256", "has 256 characters"),
]  # fmt: skip


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for options, name in ACCEPTED])
def test_what_the_server_accepts_is_accepted(options):
    """It can be registered, and an event can be sent to it."""
    with Simulation() as sim:
        sim.register(durable_function("f", **{"trigger": GO, **options})(lambda ctx: None))
        sim.send("go", {})
        sim.settle()


@pytest.mark.parametrize(("options", "part"), [pytest.param(options, part, id=name) for options, name, part in REFUSED])
def test_what_the_server_refuses_is_refused(options, part):
    """At the decorator, with the function and the fact."""
    with pytest.raises(UsageError) as refused:
        durable_function("f", **{"trigger": GO, **options})(lambda ctx: None)
    assert "'f'" in str(refused.value)
    assert part in str(refused.value)


def test_a_refused_condition_is_an_expression_error():
    """Whether it cannot be read or is not allowed there."""
    for options in ({"idempotency": "nope("}, {"cancel": Cancel(event="stop", if_exp="size(async.data.l) == 1")}):
        with pytest.raises(ExpressionError):
            durable_function("f", **options)(lambda ctx: None)


# -- the configuration of an SDK --------------------------------------------------------------------------------------


def test_the_dict_of_an_sdk_is_read_like_the_options():
    """Durations are text in it; what it does not have is no flow control at all."""
    config = {
        "id": "app-f",
        "triggers": [{"event": "go"}],
        "rateLimit": {"limit": 5, "period": "1m", "key": "event.data.k"},
        "debounce": {"period": "10s", "timeout": "1d"},
        "throttle": {"limit": 2, "period": "10s", "burst": 1},
        "singleton": {"mode": "cancel"},
        "priority": {"run": "120"},
        "concurrency": [{"limit": 9, "key": "event.data.k"}, {"limit": 3}],
    }
    flow = flow_of(config)
    assert (flow.rate_limit.limit, flow.rate_limit.period) == (5, 60_000_000)
    assert (flow.debounce.period, flow.debounce.timeout, flow.debounce.lag) == (10_000_000, 86_400_000_000, 1_050_000)
    assert (flow.throttle.limit, flow.throttle.burst) == (2, 1)
    assert flow.singleton.cancels
    assert flow.priority({}, 0) == 120
    assert [capacity.limit for capacity in flow.capacities] == [3, 9]
    assert flow.queues
    assert flow_of({"id": "app-f", "triggers": [], "cancel": None, "batchEvents": None}) is None
    assert flow_of({"throttle": {"limit": 1, "period": "1s"}}).throttle.burst == 0
    assert [one.limit for one in flow_of({"concurrency": 4}).capacities] == [4]


@pytest.mark.parametrize(
    "config",
    [
        {"batchEvents": {"maxSize": 5, "timeout": "1d"}},
        {"batchEvents": {"maxSize": 5, "timeout": "1w"}},
        {"batchEvents": {"maxSize": 5}},
        {"batchEvents": {"maxSize": 5, "timeout": "5s"}, "cancel": [{"event": "stop"}]},
        {"concurrency": {"fn": [{"limit": 1}, {"limit": 2}]}},
        {"rateLimit": {"limit": 1, "period": "2d"}},
    ],
    ids=str,
)
def test_the_dict_of_an_sdk_is_refused_like_the_options(config):
    """With what the message is to begin with."""
    with pytest.raises(UsageError, match="function 'app-f'"):
        flow_of(config, "function 'app-f'")


@pytest.mark.parametrize(
    "config",
    [
        {"triggers": [{"event": "go"}, {"event": "go", "expression": None}]},
        {"triggers": [{"cron": "@daily"}]},
        {"triggers": [{"event": "x" * 256}]},
        {"triggers": [{"event": "go", "expression": "event.data.x ="}]},
        {"triggers": [{"event": f"t{n}"} for n in range(11)]},
        {"cancel": [{"event": "stop", "if": "size(async.data.l) == 1"}]},
        {"steps": {"step": {"retries": {"attempts": -1}}}},
    ],
    ids=lambda config: str(config)[:60],
)
def test_the_rest_of_that_dict_is_checked_as_well(config):
    """Triggers, cancellations and retries."""
    with pytest.raises(UsageError, match="function 'app-f'"):
        flow_of({"id": "app-f", **config})
    check({"triggers": [{"event": "go"}], "steps": {"step": {"retries": {"attempts": 21}}}}, "function 'app-f'")


def test_nothing_is_half_registered(durable):
    """One function that cannot be registered, and none of its list is."""
    good = durable_function("good", trigger="go")(lambda ctx: None)
    other = durable_function("good", trigger="go")(lambda ctx: None)
    with pytest.raises(UsageError, match="two functions have the id 'good'"):
        durable.register(good, other)
    durable.send("go", {})
    durable.settle()
    assert durable.runs == []
