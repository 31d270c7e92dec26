"""Sees what a body does that a replay would repeat differently: clocks, chance, environment, files, network."""

from __future__ import annotations

import datetime as dt
import dis
import gc
import os
import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from . import handlers, host
from .places import HOME, SDKS, of_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

INSTALLED = "site-packages"
"""Where the code of third parties is."""

QUIET = ("logging", "importlib", "asyncio", "traceback", "warnings", "linecache", "abc")
"""Modules of the standard library that may look at the clock or at files for their own ends."""

CLOCKS = {
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns",
}  # fmt: skip
"""Functions of ``time`` that look at a clock whatever they are given."""

CLOCKS_WITHOUT = {"ctime": 0, "localtime": 0, "gmtime": 0, "asctime": 0, "strftime": 1}
"""Functions of ``time`` that look at a clock if they are given no time: how many arguments are none."""

MACHINE = {"getcwd", "getcwdb", "getpid", "getppid", "getlogin", "getuid", "uname", "cpu_count", "getloadavg", "times"}
ENVIRONMENT = {"__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__", "copy"}
CALLS = {dis.opmap[name] for name in ("CALL", "CALL_KW") if name in dis.opmap}

CLIENTS, SENDS = f"{__package__}.adapters.inngest_client", {"send", "send_sync"}
"""What sends events into the simulation: a body that does is executed again, and sends them again."""

FILES = {"open", "listdir", "scandir", "stat", "lstat", "mkdir", "remove", "unlink", "rename", "rmdir", "replace"}
AUDITED = {
    "socket.connect": "network", "socket.getaddrinfo": "network", "socket.bind": "network",
    "sqlite3.connect": "database",
    "subprocess.Popen": "process", "os.system": "process", "urllib.Request": "network", "os.posix_spawn": "process",
}  # fmt: skip


def of_sdk(frame: FrameType | None) -> bool:
    """Whether an SDK is nearer to a frame than any code of the author."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).split(".", maxsplit=1)[0] in SDKS:
            return True
        if INSTALLED not in frame.f_code.co_filename:
            return False
        frame = frame.f_back
    return False


class Use(NamedTuple):
    """One use of something impure in a body: its kind, what was called, and where the author wrote it."""

    kind: str
    what: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.what} at {self.file}:{self.line}"


class Watch:
    """Collects uses while a body is executed."""

    def __init__(self) -> None:
        self.uses: dict[Use, None] = {}
        self.seeded: list[random.Random] = []

    def saw(self, kind: str, what: str, frame: FrameType | None, *, named: bool = False) -> None:
        """Note a use; the author's line is the first frame outside the standard library and this package.

        Its name is what the author called there, unless it is ``named`` already.
        """
        name, installed = what, None
        while frame is not None:
            code = frame.f_code
            path = code.co_filename
            if path.startswith(HOME):
                break
            third_party = INSTALLED in path
            if third_party and installed is None:
                if of_sdk(frame):
                    return
                # An application may be installed, too; it is the author's, if nothing else is.
                installed = Use(kind, name, path, frame.f_lineno)
            if not third_party and not of_library(path):
                if not of_sdk(frame):
                    self.uses[Use(kind, name, path, frame.f_lineno)] = None
                return
            module = str(frame.f_globals.get("__name__", ""))
            if not third_party and module.split(".", maxsplit=1)[0] in QUIET:
                return
            name = name if named and not third_party else f"{module}.{code.co_name}"
            frame = frame.f_back
        if installed is not None:
            self.uses[installed] = None

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """What ``sys.setprofile`` calls: C functions by their owner and name, and the environment's own methods."""
        if event == "call":
            self._called(frame)
        elif event == "c_call":
            self._called_c(frame, argument)

    def _called(self, frame: FrameType) -> None:
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__")
        if module == "os" and name in ENVIRONMENT and isinstance(frame.f_locals.get("self"), type(os.environ)):
            self.saw("environment", "os.environ", frame.f_back, named=True)
        elif module == CLIENTS and name in SENDS:
            self.saw("network", f"client.{name}", frame.f_back, named=True)
        elif module == "random" and name == "seed":
            generator = frame.f_locals.get("self")
            if generator is random._inst:  # noqa: SLF001 - the global generator, which others draw from as well
                self.saw("chance", "random.seed", frame.f_back, named=True)
            else:
                if frame.f_locals.get("a") is None:
                    self.saw("chance", "random.Random", frame.f_back, named=True)
                self.seeded.append(generator)  # type: ignore[arg-type]  # it is one, by the name of its method

    def _called_c(self, frame: FrameType, argument: Any) -> None:
        name, owner = getattr(argument, "__name__", ""), getattr(argument, "__self__", None)
        module = getattr(argument, "__module__", None) or getattr(owner, "__name__", "")
        if module == "time" and (name in CLOCKS or given(frame) == CLOCKS_WITHOUT.get(name, -1)):
            self.saw("clock", f"time.{name}", frame)
        elif name in {"now", "utcnow", "today"} and isinstance(owner, type) and issubclass(owner, dt.date):
            self.saw("clock", f"{owner.__name__}.{name}", frame)
        elif name in {"random", "getrandbits"} and isinstance(owner, random.Random):
            # A generator that the body has seeded itself repeats what it drew; any other has gone on since.
            if not any(owner is generator for generator in self.seeded):
                self.saw("chance", f"random.{name}", frame)
        elif name in {"urandom", "getrandom"}:
            self.saw("chance", f"os.{name}", frame)
        elif name in {"getenv", "putenv"} or (module in {"posix", "nt"} and name in MACHINE):
            self.saw("environment", f"os.{name}", frame)
        elif name == "hash" and module == "builtins":
            # That of text differs from process to process; of what it is asked cannot be seen here.
            self.saw("chance", "hash", frame, named=True)
        elif module in {"_io", "io", "posix", "nt"} and name in FILES:
            self.saw("file", name, frame)
        elif module in {"_socket", "socket"} or type(owner).__module__ in {"_socket", "socket"}:
            self.saw("network", f"socket.{name}", frame)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Watch nothing while a handler is called, which in a sync body happens inside of it."""
        if not audit_target or audit_target[-1] is not self:
            yield
            return
        profile = sys.getprofile()
        sys.setprofile(None)
        audit_target.pop()
        try:
            yield
        finally:
            audit_target.append(self)
            sys.setprofile(profile)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch while a body is executed."""
        # No collection of garbage while a body is watched: its callbacks (Hypothesis has one) look at clocks.
        self.seeded = []
        before, collecting = sys.getprofile(), gc.isenabled()
        gc.disable()
        audit_target.append(self)
        sys.setprofile(self.profile)
        try:
            yield
        finally:
            sys.setprofile(before)
            audit_target.pop()
            if collecting:
                gc.enable()


def given(frame: FrameType) -> int:
    """How many arguments the call that a frame stands at gives; -2 where that is not written down."""
    code, place = frame.f_code.co_code, frame.f_lasti
    return code[place + 1] if code[place] in CALLS else -2


audit_target: list[Watch] = []
_hooked: list[bool] = []


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if audit_target and event in AUDITED:
        audit_target[-1].saw(AUDITED[event], event, sys._getframe(1))  # noqa: SLF001 - the frame that the event is about


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch every body that is executed from now on; the audit hook stays, inert, as Python cannot remove it."""
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    watch = Watch()
    host.watchers.append(watch.on)
    handlers.interludes.append(watch.paused)
    try:
        yield watch
    finally:
        host.watchers.remove(watch.on)
        handlers.interludes.remove(watch.paused)
