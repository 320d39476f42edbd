"""Names of the attributes, metrics and events that tracetoll emits and reads.

The modules are `attributes`, `metrics` and `events`; the prefix of our own names is in `prefix`.
"""
