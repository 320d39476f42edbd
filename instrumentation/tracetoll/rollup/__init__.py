"""Roll-up: what the spans below a span came to, read from any emitter's spans, each call counted once."""

from tracetoll.rollup.processor import RollupProcessor

__all__ = ["RollupProcessor"]
