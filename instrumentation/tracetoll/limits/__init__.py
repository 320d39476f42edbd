"""Limits: how much of what, for whom, per which window, and what then (design: limits)."""
