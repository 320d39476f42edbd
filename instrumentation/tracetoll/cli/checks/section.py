"""What a check finds: a table, and what needs attention."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Section:
    """A table of findings, and lines below it. Each entry of `attention` is a sentence with its way out."""

    title: str
    heads: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    attention: list[str] = field(default_factory=list)


@contextmanager
def warnings_of(logger_name: str) -> Iterator[list[str]]:
    """Collect what a logger and those below it warn of, instead of having it printed."""
    collected: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            collected.append(record.getMessage())

    logger = logging.getLogger(logger_name)
    collector, propagate = Collector(logging.WARNING), logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield collected
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate
