"""Rate limit and idempotency: events beyond the rate start nothing. Semantics 14.2 and 14.3."""

import pytest

from pytest_durable import Context, Event, RateLimit, durable_function


def logging(log, name, **options):
    """A function that logs the n of its event."""

    @durable_function(name, trigger="go", **options)
    async def body(ctx: Context):
        log(name, ctx.event.data["n"])
        return ctx.event.data["n"]

    return body


@pytest.mark.parametrize(
    ("rate", "admitted"),
    [
        (RateLimit(limit=1, period="60s"), [0]),
        (RateLimit(limit=1, period="2s"), [0, 3, 6]),
        (RateLimit(limit=5, period="10s"), [0, 3, 6]),
        (RateLimit(limit=20, period="1h"), [0, 1, 2]),
        (RateLimit(limit=1, period="60s", key="event.data.k"), [0, 1]),
        (RateLimit(limit=1, period="60s", key="event.data.missing"), [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
    ids=["one", "one in two", "five in ten", "twenty", "keyed", "missing key"],
)
def test_what_the_real_server_admits(durable, log, play, rate, admitted):
    """Eight events, one every 0.75 s: those that the server was recorded to admit."""
    durable.register(logging(log, "f", rate_limit=rate))
    play("go", *((i * 0.75, {"n": i, "k": i % 2}) for i in range(8)))
    durable.run_until_idle()
    assert [n for _, _, n in log.lines] == admitted


def test_five_in_a_minute_is_one_in_twelve_seconds(durable, log, play):
    """Appendix C 5: of events every second, those at 0, 12, 24, 36 and 48 are admitted."""
    durable.register(logging(log, "f", rate_limit=RateLimit(limit=5, period="1m")))
    play("go", *((n, {"n": n}) for n in range(60)))
    durable.run_until_idle()
    assert log.of("f") == [0, 12, 24, 36, 48]


def test_ten_in_a_minute_lets_two_in_at_once(durable, log, play):
    """A tenth of the limit and one more; then one in every six seconds."""
    durable.register(logging(log, "f", rate_limit=RateLimit(limit=10, period="1m")))
    play("go", *((0, {"n": n}) for n in range(5)), *((n, {"n": n}) for n in range(1, 20)))
    durable.run_until_idle()
    assert log.of("f") == [0, 0, 6, 12, 18]


def test_a_dropped_event_says_until_when(durable, log, play, outcomes):
    """No run, and in the outcome the instant from which one is admitted, and the key."""
    durable.register(logging(log, "f", rate_limit=RateLimit(limit=1, period="36s", key="event.data.k")))
    play("go", (0, {"n": 0, "k": "x"}), (5, {"n": 1, "k": "x"}))
    durable.run_until_idle()
    assert outcomes("go") == ["started f", "did not start f: rate limited until 2025-01-01 00:00:36Z (key 'x')"]
    assert len(durable.runs) == 1


def test_false_is_not_limited_and_zero_is(durable, log, play):
    """Only the value false (or a missing field) leaves an event unlimited."""
    durable.register(logging(log, "f", rate_limit=RateLimit(limit=1, period="1h", key="event.data.k")))
    play("go", *((n, {"n": n, "k": k}) for n, k in enumerate([False, False, 0, 0, True, True])))
    durable.run_until_idle()
    assert [n for _, _, n in log.lines] == [0, 1, 2, 4]


def test_a_key_that_fails_starts_nothing(durable, log, play, outcomes):
    """An error in the key is an error of scheduling, and the outcome says which."""
    durable.register(logging(log, "f", rate_limit=RateLimit(limit=1, period="1h", key="int(event.data.k)")))
    play("go", (0, {"n": 0, "k": "no number"}))
    durable.run_until_idle()
    assert durable.runs == []
    assert "did not start f: the key of its rate limit fails: " in outcomes("go")[0]


def test_a_duplicate_is_not_charged_for_half_an_hour(durable, log, play, outcomes):
    """Within 30 minutes a second event with an admitted id costs nothing; later it does, and still starts nothing."""
    durable.register(logging(log, "f", rate_limit=RateLimit(limit=1, period="10m")))
    play("go", (0, {"n": 0}, "same"), (11 * 60, {"n": 1}, "same"), (12 * 60, {"n": 2}, "other"))
    play("go", (41 * 60, {"n": 3}, "same"), (42 * 60, {"n": 4}, "third"))
    durable.run_until_idle()
    assert [n for _, _, n in log.lines] == [0, 2]
    assert "duplicate id 'same' within 24 h" in outcomes("go")[1]
    assert "duplicate id 'same' within 24 h" in outcomes("go")[3]
    assert "rate limited until 2025-01-01 00:51:00Z" in outcomes("go")[4]


def test_each_function_has_a_bucket_of_its_own(durable, log, play):
    """Two functions with one limit do not share it."""
    rate = RateLimit(limit=1, period="1h")
    durable.register(logging(log, "f", rate_limit=rate), logging(log, "g", rate_limit=rate))
    play("go", (0, {"n": 0}), (1, {"n": 1}))
    durable.run_until_idle()
    assert sorted(log.lines) == [(0, "f", 0), (0, "g", 0)]


# -- idempotency ------------------------------------------------------------------------------------------------------


def test_idempotency_is_one_run_for_a_value_and_a_day(durable, log, play, outcomes):
    """The window is 24 hours from the last event that was accepted."""
    day = 24 * 3600
    durable.register(logging(log, "f", idempotency="event.data.k"))
    play("go", (0, {"n": 0, "k": "x"}), (1, {"n": 1, "k": "y"}), (day - 1, {"n": 2, "k": "x"}))
    play("go", (day, {"n": 3, "k": "x"}), (day + 60, {"n": 4, "k": "x"}))
    durable.run_until_idle()
    assert [n for _, _, n in log.lines] == [0, 1, 3]
    assert "did not start f: idempotency: one run until 2025-01-02 00:00:00Z (key 'x')" in outcomes("go")[2]


def test_idempotency_without_a_value_starts_every_time(durable, log, play):
    """A missing field leaves the event unlimited."""
    durable.register(logging(log, "f", idempotency="event.data.missing"))
    play("go", (0, {"n": 0}), (1, {"n": 1}))
    durable.run_until_idle()
    assert [n for _, _, n in log.lines] == [0, 1]


def test_idempotency_replaces_a_rate_limit(durable, log, play):
    """The server overwrites one with the other."""
    options = {"idempotency": "event.data.k", "rate_limit": RateLimit(limit=100, period="1m")}
    durable.register(logging(log, "f", **options))
    play("go", *((n * 3600, {"n": n, "k": 1}) for n in range(4)))
    durable.run_until_idle()
    assert [n for _, _, n in log.lines] == [0]


def test_a_direct_start_is_not_limited(durable, log):
    """The test asked for this run by name; it costs nothing either."""
    f = logging(log, "f", rate_limit=RateLimit(limit=1, period="1h"))
    durable.register(f)
    assert [durable.run(f, {"n": n}) for n in range(3)] == [0, 1, 2]
    durable.send(Event("go", {"n": 3}))
    durable.settle()
    assert [n for _, _, n in log.lines] == [0, 1, 2, 3]
