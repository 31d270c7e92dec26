"""The history of a run: an ordered list of facts, which JSON can carry, and of which all else is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._core.runs import Fact

FORMAT = "pytest-durable history 1"


class History:
    """What happened in one run, in order.

    Attributes:
        function: the id of the function.
        run: the id of the run.
        events: the events that started it, as on the wire.
        facts: tuples of (microseconds since 1970, what, key of the step or "", the rest).
    """

    def __init__(self, function: str, run: str, events: list[dict[str, Any]], facts: Sequence[Fact]) -> None:
        self.function = function
        self.run = run
        self.events = events
        self.facts = [tuple(fact) for fact in facts]

    def to_json(self) -> str:
        """The history as JSON text: the same bytes for the same facts, on every Python."""
        document = {
            "format": FORMAT,
            "function": self.function,
            "run": self.run,
            "events": self.events,
            "facts": [{"at": at, "what": what, "step": step, "rest": rest} for at, what, step, rest in self.facts],
        }
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the history to a file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def from_json(cls, text: str) -> History:
        """Read a history from JSON text.

        Raises:
            UsageError: the text is no history of this format.
        """
        try:
            document = json.loads(text)
            known = document["format"] == FORMAT
            facts = [(f["at"], f["what"], f["step"], f["rest"]) for f in document["facts"]]
            history = cls(document["function"], document["run"], document["events"], facts)
        except (ValueError, KeyError, TypeError) as error:
            msg = f"this is not a history ({type(error).__name__}: {error}); it is written by run.history.save(path)"
            raise UsageError(msg) from None
        if not known:
            msg = f"this history has the format {document['format']!r}, and {FORMAT!r} is read here; record it again"
            raise UsageError(msg)
        return history

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a history from a file.

        Raises:
            UsageError: the file holds no history of this format.
        """
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    @classmethod
    def from_inngest(cls, trace: str | Mapping[str, Any]) -> History:
        """The history of a run in production, from its trace as Inngest's API gives it, as JSON or read from it.

        Raises:
            UsageError: it is no such trace.
        """
        from .adapters.inngest_trace import parts_of

        return cls(*parts_of(trace))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # compared by content, which may grow

    def __repr__(self) -> str:
        return f"<History of {self.function}, {len(self.facts)} facts>"
