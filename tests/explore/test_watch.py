# ruff: noqa: SLF001 - frames are what a profiler is given, and the functions that Python calls are ours alone
"""What the watch makes of a call, asked directly: Python measures no line of what it calls while it profiles."""

import _socket
import copy
import datetime as dt
import gc
import os
import random
import sys
import time
from logging import Formatter

import pytest

from pytest_durable import purity
from pytest_durable.choosers import independent
from pytest_durable.purity import Use, Watch, of_sdk, watching

HERE = os.path.realpath(__file__)


def the_use(watch):
    """The only thing that was seen, without its line."""
    assert len(watch.uses) < 2
    return next(((use.kind, use.what) for use in watch.uses), None)


def elsewhere(path, module, call=sys._getframe):
    """A function of another file and module that makes a call; without one, it returns its frame."""
    names = {"__name__": module, "call": call}
    exec(compile("def f():\n    return call()", path, "exec"), names)
    return names["f"]


@pytest.mark.parametrize(
    ("called", "seen"),
    [
        (time.time, ("clock", "time.time")),
        (dt.datetime.now, ("clock", "datetime.now")),
        (dt.date.today, ("clock", "date.today")),
        (random.random, ("chance", "random.random")),
        (os.urandom, ("chance", "os.urandom")),
        (os.getpid, ("environment", "os.getpid")),
        (os.listdir, ("file", "listdir")),
        (open, ("file", "open")),
        (_socket.getaddrinfo, ("network", "socket.getaddrinfo")),
        (len, None),
        ([].append, None),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "",
)
def test_a_function_of_c_is_known_by_its_module_and_name(called, seen):
    """A call of C is a use if its name is one of a clock, chance, environment, file or network, and none otherwise."""
    watch = Watch()
    watch.profile(sys._getframe(), "c_call", called)
    watch.profile(sys._getframe(), "c_return", called)
    assert the_use(watch) == seen
    assert all(os.path.realpath(use.file) == HERE for use in watch.uses)


def test_what_is_looked_up_in_the_environment_is_seen_at_the_line_of_the_author():
    """The methods of ``os.environ`` are Python; who called them is to be named, not the module ``os``."""
    watch = Watch()

    def encode(key):
        watch.profile(sys._getframe(1), "call", None)
        return key

    os._Environ({"HOME": "x"}, encode, str, encode, str)["HOME"]
    assert the_use(watch) == ("environment", "os.environ")
    assert os.path.realpath(next(iter(watch.uses)).file) == HERE


class Seed(str):
    """A seed that shows the frame of ``random.seed`` to a watch."""

    __slots__ = ("watch",)

    def encode(self):
        """What ``seed`` calls first with a text."""
        self.watch.profile(sys._getframe(1), "call", None)
        return b"seed"


@pytest.mark.parametrize("own", [True, False], ids=["own", "global"])
def test_a_generator_that_the_body_seeds_itself_is_pure(own):
    """Drawing from a generator that was seeded here repeats; seeding the one that all share is a use."""
    watch, state = Watch(), random.getstate()
    seed = Seed("x")
    seed.watch = watch
    generator = random.Random() if own else random
    generator.seed(seed)
    random.setstate(state)
    assert the_use(watch) == (None if own else ("chance", "random.seed"))
    if own:
        watch.profile(sys._getframe(), "c_call", generator.random)
        assert the_use(watch) is None


def test_a_generator_without_a_seed_is_chance():
    """``random.Random()`` takes its seed from the machine, so making one is a use; after it, drawing is no second."""
    watch = Watch()
    names = {"__name__": "random", "watch": watch, "profile": lambda: watch.profile(sys._getframe(1), "call", None)}
    exec(compile("def seed(self, a=None):\n    profile()", "<elsewhere>", "exec"), names)
    generator = random.Random()
    names["seed"](generator)
    watch.profile(sys._getframe(), "c_call", generator.random)
    assert the_use(watch) == ("chance", "random.Random")


def test_other_calls_of_python_are_nothing():
    """A call of a function of the author is no use, whatever its name."""
    watch = Watch()
    watch.profile(sys._getframe(), "call", None)
    watch.profile(elsewhere("<a>", "random")(), "call", None)
    assert watch.uses == {}


class Caught:
    """Catches the frame of the library that calls it, and lets a watch see something there."""

    def __init__(self, watch):
        self.watch = watch

    def see(self):
        """Somebody of a library called."""
        self.watch.saw("clock", "time.time", sys._getframe(2))
        return "text"

    def __deepcopy__(self, _):
        return self.see()

    def getMessage(self):  # noqa: N802 - as logging calls it
        """What a formatter asks a record for."""
        return self.see()

    def __len__(self):
        self.see()
        return 0

    def items(self):
        """Nothing, as of an empty footprint."""
        return ()


def test_a_use_of_the_library_has_the_name_that_the_author_called():
    """Behind a module of the standard library, the name is that of its function, and the line is the author's."""
    watch = Watch()
    copy.deepcopy(Caught(watch))
    assert the_use(watch) == ("clock", "copy.deepcopy")
    assert os.path.realpath(next(iter(watch.uses)).file) == HERE


def test_what_the_library_does_for_its_own_ends_is_nothing():
    """Logging looks at clocks; that is no use of the body."""
    watch, record = Watch(), Caught(Watch())
    record.watch = watch
    record.exc_info = record.exc_text = record.stack_info = None
    Formatter("%(message)s").format(record)
    assert watch.uses == {}


def test_what_this_package_does_is_nothing():
    """A call that comes out of this package is not the author's, whoever called the package."""
    watch = Watch()
    independent(Caught(watch), {})
    assert watch.uses == {}


@pytest.mark.parametrize(("module", "nearer"), [("inngest.client", True), ("author", False)])
def test_what_an_sdk_uses_is_its_own(module, nearer):
    """Of two callers the nearer one counts: a library that the SDK called is the SDK's."""
    library = elsewhere("/x/site-packages/library/a.py", "library")
    path = "/x/site-packages/inngest/a.py" if nearer else "/x/author.py"
    watch = Watch()
    watch.saw("clock", "time.time", elsewhere(path, module, library)())
    assert len(watch.uses) == (not nearer)
    assert not of_sdk(None)


def test_a_use_without_an_author_is_nothing():
    """Where no frame is the author's there is nobody to tell."""
    watch = Watch()
    watch.saw("clock", "time.time", None)
    assert watch.uses == {}


def test_what_the_audit_hook_hears_is_seen_while_a_body_runs_and_only_then():
    """A connection is a use of the innermost watch that is on, and nothing while none is."""
    watch, collecting = Watch(), gc.isenabled()
    purity._audit("socket.connect", ())
    with watch.on():
        sys.setprofile(None)
        purity._audit("socket.connect", ())
        purity._audit("import", ())
        assert not gc.isenabled()
    assert gc.isenabled() == collecting
    assert the_use(watch) == ("network", "socket.connect")


def test_a_watch_leaves_things_as_they_were():
    """The profiler and the collection of garbage are as before, also where neither was on."""
    collecting, before = gc.isenabled(), sys.getprofile()
    gc.disable()
    try:
        with watching() as watch, watch.on():
            pass
        assert not gc.isenabled()
        assert sys.getprofile() is before
    finally:
        if collecting:
            gc.enable()


def test_a_use_says_where_it_is():
    """Its kind, what was called, the file and the line."""
    assert str(Use("clock", "time.time", "a.py", 3)) == "clock: time.time at a.py:3"
