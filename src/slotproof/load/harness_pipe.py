"""The worker's end of the two pipes to the harness."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from gevent.fileobject import FileObjectPosix

from slotproof.load import messages

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class HarnessGone(Exception):  # noqa: N818 - a reason to stop, not an error of this process
    """The harness died: it neither reads nor writes any more."""


class HarnessPipe:
    """Keeps the real stdout for messages; what a callers' file prints goes to stderr, the worker's log."""

    def __init__(self) -> None:
        self._out = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)

    def tell(self, event: str, content: messages.Stats | messages.Done | None = None) -> None:
        """Raises HarnessGone when nobody reads."""
        try:
            os.write(self._out, messages.event_line(event, content).encode())
        except BrokenPipeError as error:
            raise HarnessGone from error

    def listen(self) -> Iterator[Mapping[str, Any]]:
        """Messages as they come, other greenlets running meanwhile.

        Raises:
            HarnessGone: the pipe has ended.
            ValueError: a line is not a message.
        """
        for line in FileObjectPosix(_STDIN, "rb", closefd=False):
            yield messages.parse(line)
        raise HarnessGone
