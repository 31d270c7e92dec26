"""Events: triggers, what an event carries, what became of it, and the events of the system."""

from datetime import UTC, datetime

import pytest

from pytest_durable import Context, ContextSync, Event, NonRetriableError, TriggerEvent, UsageError, durable_function


def teller(name, trigger):
    """A function that says which event started it."""

    @durable_function(name, trigger=trigger)
    async def tell(ctx: Context):
        return [ctx.event.name, ctx.event.data]

    return tell


@pytest.mark.parametrize(
    ("trigger", "name", "starts"),
    [
        ("app/user.created", "app/user.created", True),
        ("app/*", "app/user.created", True),
        ("app/user.*", "app/user.created", True),
        ("app/user.*", "app/order.created", False),
        ("*", "app/user.created", False),
        ("app/*.created", "app/user.created", False),
        (["a", "app/user.created"], "app/user.created", True),
        (TriggerEvent(event="app/*"), "app/user.created", True),
    ],
    ids=str,
)
def test_a_name_starts_what_its_trigger_means(durable, trigger, name, starts):
    """An exact name or a trailing star, alone or in a list."""
    durable.register(teller("f", trigger))
    durable.send(name, {"n": 1})
    durable.settle()
    assert [run.result for run in durable.runs] == ([[name, {"n": 1}]] if starts else [])
    assert durable.events[0].outcome.started == (["f"] if starts else [])


@pytest.mark.parametrize(
    ("expression", "data", "starts"),
    [
        ("event.data.plan == 'pro'", {"plan": "pro"}, True),
        ("event.data.plan == 'pro'", {"plan": "free"}, False),
        ("event.data.plan == 'pro'", {}, False),
        ("event.data.plan != 'pro'", {}, True),
        ("event.data.n >= 3 && event.data.n < 5", {"n": 4}, True),
        ("event.data.n < 3", {"n": "four"}, False),
        ("event.data.flag", {"flag": "yes"}, False),
    ],
)
def test_an_expression_decides_whether_a_trigger_counts(durable, expression, data, starts):
    """True starts the function; false, an error and what is no boolean do not, and the event says why."""
    durable.register(teller("f", TriggerEvent(event="go", expression=expression)))
    durable.send("go", data)
    durable.settle()
    assert len(durable.runs) == starts
    if not starts:
        assert "did not start f" in str(durable.events[0].outcome)


def test_an_event_starts_a_function_once(durable):
    """Even if two of its triggers mean it."""
    durable.register(teller("f", ["app/x", "app/*"]))
    durable.send("app/x")
    durable.settle()
    assert len(durable.runs) == 1


def test_the_second_trigger_counts_where_the_first_refuses(durable):
    """Triggers are tried in their order."""
    durable.register(teller("f", [TriggerEvent(event="x", expression="event.data.n == 1"), TriggerEvent(event="x")]))
    durable.send("x", {"n": 2})
    durable.settle()
    assert len(durable.runs) == 1


def test_an_event_starts_every_function_that_means_it(durable):
    """And only those that were registered."""
    durable.register(teller("f", "x"), [teller("g", "x"), teller("h", "y")])
    teller("unregistered", "x")
    durable.send("x")
    durable.settle()
    assert [run.function_id for run in durable.runs] == ["f", "g"]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_what_a_function_is_given(durable, sync):
    """Name, data, id and time of its event, which ``events`` has too; the attempt, and the id of the run."""

    @durable_function("async", trigger="go")
    async def async_body(ctx: Context):
        return [ctx.event.name, ctx.event.data, ctx.event.id, ctx.event.ts, len(ctx.events), ctx.attempt, ctx.run_id]

    @durable_function("sync", trigger="go")
    def sync_body(ctx: ContextSync):
        return [ctx.event.name, ctx.event.data, ctx.event.id, ctx.event.ts, len(ctx.events), ctx.attempt, ctx.run_id]

    durable.register(sync_body if sync else async_body)
    durable.send("go", {"n": 1}, id="mine", at="1s")
    durable.run_until_idle()
    run = durable.runs[0]
    assert run.result == ["go", {"n": 1}, "mine", 1_735_689_601_000, 1, 0, run.id]


def test_a_time_is_a_whole_number_of_milliseconds(durable):
    """``ts`` is an integer, also where the clock stands between two milliseconds."""
    durable.advance("1us")
    durable.send("go")
    durable.settle()
    assert (type(durable.events[0].ts), durable.events[0].ts) == (int, 1_735_689_600_000)


def test_data_is_a_dict_and_nothing_is_an_empty_one(durable):
    """Without data an event has ``{}``; the reserved key ``_inngest`` is stripped."""
    durable.send("a")
    durable.send("b", {"_inngest": {"fn_id": "x"}, "n": 1})
    durable.settle()
    assert [event.data for event in durable.events] == [{}, {"n": 1}]


def test_start_names_the_event_after_the_first_trigger(durable):
    """Or ``durable/start`` where there is none."""
    runs = [durable.start(teller("f", ["first", "second"]), {"n": 1}), durable.start(teller("g", None))]
    durable.settle()
    assert [run.result for run in runs] == [["first", {"n": 1}], ["durable/start", {}]]


def test_a_timeline_sends_each_event_at_its_moment(durable):
    """Durations count from now; events at one moment arrive in their order."""
    durable.advance("1d")
    durable.timeline({"1h": Event("a"), "2d": [Event("b"), Event("c")], 5000: Event("d")})
    durable.run_until_idle()
    assert [(event.name, event.ts) for event in durable.events] == [
        ("d", 1_735_776_005_000), ("a", 1_735_779_600_000), ("b", 1_735_948_800_000), ("c", 1_735_948_800_000),
    ]  # fmt: skip


def ending(how):
    """A function that ends in this way."""

    @durable_function("f", trigger="go")
    async def f(ctx: Context):
        if how == "failed":
            raise NonRetriableError("boom")
        if how == "cancelled":
            await ctx.step.sleep("nap", "1h")
        return {"n": 1}

    return f


@pytest.mark.parametrize(
    ("how", "names"),
    [
        ("completed", ["inngest/function.finished"]),
        ("failed", ["inngest/function.finished", "inngest/function.failed"]),
        ("cancelled", ["inngest/function.finished", "inngest/function.cancelled"]),
    ],
)
def test_every_end_is_announced_once(durable, how, names):
    """``finished`` always, ``failed`` or ``cancelled`` besides; with function, run, event, and result or error."""
    run = durable.start(ending(how), {"k": 1})
    durable.settle()
    if how == "cancelled":
        durable.cancel(run)
        durable.settle()
    events = [event for event in durable.events if event.name.startswith("inngest/function.")]
    assert [event.name for event in events] == names
    for event in events:
        assert (event.data["function_id"], event.data["run_id"]) == ("f", run.id)
        assert (event.data["event"]["name"], event.data["event"]["data"]) == ("go", {"k": 1})
        assert event.data["events"] == [event.data["event"]]
        assert event.data["_inngest"] == {"status": how.capitalize()}
        assert ("result" in event.data, "error" in event.data) == (how == "completed", how == "failed")
    if how == "completed":
        assert events[0].data["result"] == {"n": 1}
    if how == "failed":
        assert (events[0].data["error"]["name"], events[0].data["error"]["message"]) == ("NonRetriableError", "boom")


def test_system_events_start_functions_and_do_not_recurse(durable):
    """A function may listen for ``finished``; its own end is not announced, so there is no recursion."""
    durable.register(teller("audit", "inngest/function.finished"))
    durable.start(ending("completed"))
    durable.run_until_idle()
    assert [run.function_id for run in durable.runs] == ["f", "audit"]
    assert len([event for event in durable.events if event.name == "inngest/function.finished"]) == 1


def test_a_run_can_wait_for_the_end_of_another(durable):
    """System events answer waits, with a condition."""

    @durable_function("watcher")
    async def watcher(ctx: Context):
        event = await ctx.step.wait_for_event(
            "wait", event="inngest/function.finished", timeout="1d", if_exp="async.data.function_id == 'f'"
        )
        return event.data["result"]

    run = durable.start(watcher)
    durable.settle()
    durable.start(ending("completed"))
    assert run.wait() == {"n": 1}


def test_a_run_that_cancellation_started_announces_its_end(durable):
    """Runs for ``function.cancelled`` do emit ``finished``."""
    durable.register(teller("audit", "inngest/function.cancelled"))
    run = durable.start(ending("cancelled"))
    durable.settle()
    durable.cancel(run)
    durable.settle()
    finished = [event.data["function_id"] for event in durable.events if event.name == "inngest/function.finished"]
    assert finished == ["f", "audit"]


def test_events_have_an_outcome(durable):
    """Who it started, whom it woke, and why not the others."""

    @durable_function("waiter")
    async def waiter(ctx: Context):
        await ctx.step.wait_for_event("wait", event="go", timeout="1h", if_exp="async.data.n == event.data.n")

    durable.register(teller("f", "go"))
    runs = [durable.start(waiter, {"n": n}) for n in (1, 2)]
    durable.settle()
    durable.send("go", {"n": 2})
    durable.settle()
    outcome = next(event for event in durable.events if event.name == "go").outcome
    assert (outcome.started, outcome.woke) == (["f"], ["waiter at 'wait'"])
    assert "did not wake waiter at 'wait'" in str(outcome)
    assert [run.status for run in runs] == ["running", "completed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((Event("inngest/x"),), "reserved"),
        (("",), "not an event with a name"),
        ((5,), "not an event with a name"),
        (("x", {"when": datetime(2025, 1, 1, tzinfo=UTC)}), "JSON cannot carry"),
        (("x", [1]), "data must be a dict"),
        ((Event("x"), {"n": 1}), "data= and id= go with the name"),
        ((Event("x", ts=10**18),), "ts="),
        ((Event("x", ts=1),), "ts="),
    ],
    ids=["reserved", "no name", "no event", "data", "list", "data twice", "far future", "1970"],
)
def test_a_bad_event_is_refused_where_it_is_sent(durable, arguments, said):
    """At the call, before anything arrives."""
    with pytest.raises(UsageError, match=said):
        durable.send(*arguments)
    durable.settle()
    assert durable.events == []


@pytest.mark.parametrize("at", ["-1s", "soon", 1.5, datetime(2024, 12, 31, tzinfo=UTC), datetime(2025, 1, 2)], ids=str)  # noqa: DTZ001 - naive on purpose
def test_a_bad_moment_is_refused_where_it_is_given(durable, at):
    """``at`` is a duration from now or an aware datetime that is not past."""
    with pytest.raises(UsageError, match="send: at"):
        durable.send("x", at=at)
