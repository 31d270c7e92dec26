"""Web handlers that send events: a test client calls them, and what they send lands in the simulation."""

import datetime as dt

import pytest

inngest = pytest.importorskip("inngest")
fastapi = pytest.importorskip("fastapi")
flask = pytest.importorskip("flask")
django = pytest.importorskip("django")

from fastapi.testclient import TestClient  # noqa: E402 - only where FastAPI is

from pytest_durable import durable_function, explore  # noqa: E402 - as above

CLIENT = inngest.Inngest(app_id="shop")


@CLIENT.create_function(fn_id="order", trigger=inngest.TriggerEvent(event="shop/order.placed"))
async def order(ctx):
    """Waits a week for the money."""
    paid = await ctx.step.wait_for_event("paid", event="shop/paid", timeout=dt.timedelta(days=7))
    return [ctx.event.data["id"], paid is not None]


def of_fastapi():
    """An app with an async and a sync handler."""
    app = fastapi.FastAPI()

    @app.post("/orders/{order_id}")
    async def place(order_id: int):
        return await CLIENT.send(inngest.Event(name="shop/order.placed", data={"id": order_id}))

    @app.post("/payments/{order_id}")
    def pay(order_id: int):
        return CLIENT.send_sync(inngest.Event(name="shop/paid", data={"id": order_id}))

    return TestClient(app)


def of_flask():
    """An app with two sync handlers."""
    app = flask.Flask("shop")

    @app.post("/orders/<int:order_id>")
    def place(order_id):
        return CLIENT.send_sync(inngest.Event(name="shop/order.placed", data={"id": order_id}))

    @app.post("/payments/<int:order_id>")
    def pay(order_id):
        return CLIENT.send_sync(inngest.Event(name="shop/paid", data={"id": order_id}))

    return app.test_client()


def placed(request, order_id):
    """A sync view."""
    ids = CLIENT.send_sync(inngest.Event(name="shop/order.placed", data={"id": order_id}))
    return django.http.JsonResponse(ids, safe=False)


async def paid(request, order_id):
    """An async view, which Django's sync client runs on a loop of its own."""
    ids = await CLIENT.send(inngest.Event(name="shop/paid", data={"id": order_id}))
    return django.http.JsonResponse(ids, safe=False)


class Urls:
    """The routes of the Django app; it needs no module for them."""

    urlpatterns = ()


def of_django():
    """An app with a sync and an async view."""
    import django.conf
    import django.http
    import django.test
    import django.urls

    if not django.conf.settings.configured:
        django.conf.settings.configure(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["*"], SECRET_KEY="for tests")
        django.setup()
        views = {"orders/<int:order_id>": placed, "payments/<int:order_id>": paid}
        Urls.urlpatterns = tuple(django.urls.path(route, view) for route, view in views.items())
    return django.test.Client()


APPS = pytest.mark.parametrize("app", [of_fastapi, of_flask, of_django], ids=["fastapi", "flask", "django"])


def body(answer):
    """The JSON of an answer, of either client."""
    return answer.json() if callable(answer.json) else answer.json


@APPS
def test_what_a_handler_sends_starts_and_wakes_functions(durable, app):
    """Between two calls of the app days pass in virtual time; the ids that it answers with are those of the events."""
    web = app()
    durable.register(order)
    placed = body(web.post("/orders/7"))
    durable.advance("3d")
    paid = body(web.post("/payments/7"))
    durable.settle()
    (run,) = durable.runs
    assert run.result == [7, True]
    sent = {event.name: event.id for event in durable.events}
    assert (placed, paid) == ([sent["shop/order.placed"]], [sent["shop/paid"]])


@APPS
def test_a_native_function_hears_of_it_too(durable, app):
    """The bus is one: what an SDK's client sends in a handler starts a native function."""

    @durable_function("mails", trigger="shop/order.placed")
    async def mails(ctx):
        return await ctx.step.run("mail", lambda: f"order {ctx.event.data['id']}")

    durable.register(mails)
    app().post("/orders/3")
    durable.advance("1m")
    assert [run.result for run in durable.runs] == ["order 3"]


@APPS
def test_an_explored_scenario_calls_the_app(app):
    """Whether the money comes before or after the deadline is a choice; the threads of a test client are its own."""
    ends = set()

    def scenario(sim):
        web = app()
        sim.register(order)
        web.post("/orders/1")
        sim.advance("7d")
        web.post("/payments/1")
        sim.advance("1s")
        ends.update((str(run.status.value), str(run.result)) for run in sim.runs)

    report = explore(scenario)
    assert (report.complete, report.failures) == (True, [])
    assert ends == {("completed", "[1, False]")}
