"""Traces as trees in a terminal: printed at the end of a program, or while an application runs."""

from tracetoll.console.amounts import CALLS
from tracetoll.console.live import TreePrinter
from tracetoll.console.tree import print_trace, render_tree

__all__ = ["CALLS", "TreePrinter", "print_trace", "render_tree"]
