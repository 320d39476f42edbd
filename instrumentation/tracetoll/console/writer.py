"""Write trees to a file, each in one piece; what cannot be written is lost, and nothing waits for it."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
import threading
from collections import deque
from typing import IO, TYPE_CHECKING, ClassVar, Final

from tracetoll.console.tree import Tree, console_for
from tracetoll.safety import contained

if TYPE_CHECKING:
    from tracetoll.console.gather import Gathered

log: Final = logging.getLogger("tracetoll")

QUEUED: Final = 500  # trees; more are counted only
STALLED_S: Final = 5.0

_PRINTING: Final = contained("printing a trace")


class Writer:
    """A queue of trees, which `drain` writes to the file; standard error where none is given."""

    # One for all writers: two of them may have the same file.
    _writing: ClassVar = threading.Lock()

    def __init__(self, file: IO[str] | None, lines: int) -> None:
        self._file = file
        self._lines = lines
        self._queue: deque[Gathered] = deque()
        self._left_out = 0
        self._told_left_out = 0
        self._is_broken = False

    def put(self, tree: Gathered) -> None:
        """Queue a tree, or count it where too many wait."""
        if len(self._queue) < QUEUED:
            self._queue.append(tree)
        else:
            self._left_out += 1

    def drain(self, timeout_s: float = -1) -> bool:
        """Write what waits; return False where another thread is at it for longer than the time-out in seconds."""
        if not Writer._writing.acquire(timeout=timeout_s):
            return False
        try:
            while self._queue:
                with _PRINTING:
                    self._write(self._queue.popleft())
        finally:
            Writer._writing.release()
        return True

    def forked(self) -> None:
        """Leave what waits to the parent process."""
        Writer._writing = threading.Lock()
        self._queue.clear()
        self._told_left_out = self._left_out

    def _write(self, tree: Gathered) -> None:
        file = sys.stderr if self._file is None else self._file
        if file is None:  # a process without a terminal may have no standard error
            return
        title = f"trace {tree.root.key[0]:032x}{', what ended later' if tree.is_late else ''}"
        drawn = Tree([tree.root], most=self._lines, title=title, seconds=tree.seconds)
        try:
            console = console_for(file, drawn)
            with console.capture() as captured:
                console.print(drawn)
            _write_at_once(file, f"{captured.get()}{self._notice()}\n")
        except (OSError, ValueError) as error:  # the file is closed, or whoever reads it has gone
            if not self._is_broken:
                self._is_broken = True
                with contextlib.suppress(Exception):  # the log may go the same way
                    log.warning("traces cannot be printed: %s", error)

    def _notice(self) -> str:
        left_out, self._told_left_out = self._left_out - self._told_left_out, self._left_out
        return f"{left_out:,} more traces ended faster than they could be printed\n" if left_out else ""


def _write_at_once(file: IO[str], text: str) -> None:
    if file is not sys.__stderr__ or os.name != "posix":
        file.write(text)
        file.flush()
        return
    # Past the buffer of standard error, whose lock a thread that is stopped at exit would keep for ever.
    data, descriptor = text.encode(file.encoding, "replace"), file.fileno()
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            if not select.select([], [descriptor], [], STALLED_S)[1]:
                raise
