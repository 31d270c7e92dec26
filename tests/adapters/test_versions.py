"""Versions of an SDK that the tests have not seen: a newer one is said once, an older one is refused."""

import warnings
from importlib import metadata

import pytest

from pytest_durable import Simulation, UsageError, adapters, durable_function

inngest = pytest.importorskip("inngest")


@pytest.fixture
def installed(monkeypatch):
    """Pretends that a version of the SDK is installed that no simulation has met so far."""

    def pretend(version):
        monkeypatch.setattr(metadata, "version", lambda _: version)
        monkeypatch.setattr(adapters, "_imported", {})
        monkeypatch.setattr(adapters, "_judged", [])
        monkeypatch.setattr(adapters, "HOSTS", [])

    return pretend


def function():
    client = inngest.Inngest(app_id="app", is_production=False)

    @client.create_function(fn_id="fn", trigger=inngest.TriggerEvent(event="go"))
    async def fn(ctx):
        return await ctx.step.run("one", lambda: 1)

    return fn


def results(*functions):
    """What functions return, one simulation for each."""
    found = []
    for one in functions:
        with Simulation() as sim:
            found.append(sim.run(one))
    return found


def test_a_newer_version_is_said_once(installed):
    """It works as far as it can; the warning names both versions."""
    installed("0.5.120")
    with pytest.warns(UserWarning, match=r"inngest 0\.5\.120 is newer than 0\.5\.\d+, the last version") as caught:
        assert results(function(), function()) == [1, 1]
    assert len(caught) == 1


@pytest.mark.parametrize("version", [adapters.TESTED["inngest"][0], "0.5.7", adapters.TESTED["inngest"][1], "0.5.2rc1"])
def test_a_tested_version_is_no_news(installed, version):
    """Between the first and the last tested version nothing is said."""
    installed(version)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert results(function()) == [1]


@pytest.mark.parametrize("version", ["0.4.22", "0.3.0"])
def test_an_older_version_is_refused(installed, version):
    """The error names the version and the remedy; native functions are not concerned."""
    installed(version)
    native = durable_function("native")(lambda ctx: ctx.step.run("one", lambda: 2))
    assert results(native) == [2]
    with pytest.raises(UsageError, match=rf"inngest {version} is older than 0\.5\.0.*pip install 'inngest>=0\.5'"):
        results(function())
    with pytest.raises(UsageError, match="no durable function"):
        results(object())


def test_what_nobody_knows_is_told_what_is_known(installed, monkeypatch):
    """The error lists the adapters, those of others too, and the extra that brings each."""
    installed("0.5.19")
    monkeypatch.setattr(adapters, "HOSTS", [lambda _: None])
    with pytest.raises(
        UsageError, match=r"Inngest Python SDK, with the extra pytest-durable\[inngest\]; those of .*test_ver"
    ):
        results(object())


MADE_EARLY = """
import inngest

class Louder(inngest.Middleware):
    async def transform_output(self, result):
        if result.step is None and result.error is None:
            result.output = result.output.upper()

def make():
    client = inngest.Inngest(app_id="shop", is_production=False, middleware=[Louder])

    @client.create_function(fn_id="order", trigger=inngest.TriggerEvent(event="shop/order"))
    async def order(ctx):
        return "bare"

    return order

order = make()

def test_order(durable):
    assert durable.run(order) == "BARE"
"""


def test_a_function_of_a_module_knows_its_client(pytester):
    """Whatever is made before the first simulation, by a client that is gone by then, has the middleware of that."""
    pytester.makepyfile(MADE_EARLY)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_somebodys_own_module_of_that_name_is_none_of_ours(pytester):
    """What is called like an SDK and is none is imported as ever."""
    pytester.makepyfile(inngest="answer = 42")
    pytester.makepyfile("import inngest\n\ndef test_it(durable):\n    assert inngest.answer == 42\n")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_who_only_looks_whether_an_sdk_is_there_takes_nothing_away(pytester):
    """The adapter comes with the import that succeeds, whatever was asked for before."""
    pytester.makepyfile(
        """
        import importlib.util

        assert importlib.util.find_spec("inngest") is not None
        import inngest

        client = inngest.Inngest(app_id="app")

        def test_it(durable):
            client.send_sync(inngest.Event(name="app/sent"))
            assert [event.name for event in durable.events] == ["app/sent"]
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
