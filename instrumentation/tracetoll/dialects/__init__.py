"""Read what other emitters tell of model calls: which names they use for the same numbers, as data.

`emitters.py` has one table per emitter, in the words of `words.py`; `reader.py` finds the table of a span, by
its instrumentation scope and by its attributes, and reads the span with it.
"""

from tracetoll.dialects.reader import Reader, Told

__all__ = ["Reader", "Told"]
