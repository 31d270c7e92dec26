"""Does something as soon as a package is imported, wherever that happens: an application adapts to nobody."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class Arrivals(importlib.abc.MetaPathFinder):
    """Waits for one package. It finds nothing itself; what others find has one more thing to do."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self.then = then
        self.asks = False

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 - the finders' protocol
        """The spec that others find."""
        if name != self.name or self.asks:
            return None
        self.asks = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.asks = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_more(module: ModuleType) -> None:
                execute(module)
                # Not before: somebody may only look whether it is there, or fail to import it.
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                    self.then()

            spec.loader.exec_module = execute_and_more  # type: ignore[method-assign]  # of this one loader
        return spec


def when_imported(name: str, then: Callable[[], None]) -> None:
    """Call ``then`` as soon as a package is there; whoever waits for it first is called."""
    if name in sys.modules:
        then()
    elif not any(isinstance(finder, Arrivals) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, Arrivals(name, then))
