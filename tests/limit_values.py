"""Limits of every kind, for the tests of the forms that limits are written in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tracetoll import limits  # noqa: F401  # the package is complete before its parts are
from tracetoll.limits.limit import ACTIONS, SUBJECTS, UNITS, UNPRICED, Limit, WrongLimitError

ODD = (
    "day",
    "dayly",
    "Trace",
    "trce",
    "warn",
    "NAMED",
    "1m",
    "life",
    "no",
    "5",
    "a|b",
    'x"y',
    "back\\slash",
    "null",
    "~",
)
ODDER = (
    *ODD,
    "a b",
    "a,b",
    "(x)",
    "a=b",
    "a;b",
    "line\nline",
    "",
    " ",
    "é😀",
    "# no",
    "k: v",
    "*",
    "!gpt",
    "100%",
    "\x07",
    "\u2028",
)

words = st.one_of(
    st.sampled_from(ODDER), st.text(min_size=1, max_size=8), st.text("abc-.*?|,=;()\"\\ \n:#'{}[]&!%@`", min_size=1)
)
keys = st.one_of(
    st.sampled_from((*ODD, "user.id", "tenant", "team", "model")), st.text('ab.-|"\\:#*&!%@`é', min_size=1, max_size=5)
).filter(lambda key: key not in SUBJECTS)
amounts = st.one_of(
    st.integers(0, 10**30), st.floats(0, 1e300), st.decimals(0, 10**9, places=12), st.just(Decimal("1E+40"))
)
shares = st.one_of(st.sampled_from((0.8, 1.0, 0.5, 12.0)), st.floats(1e-9, 1e6))
models = st.text('abc-.*/:"|()#;é=', min_size=1, max_size=6)
pairs = st.builds("{}={}".format, models.filter(lambda model: "=" not in model), models)
reroutes = st.lists(pairs, min_size=1, max_size=3).map(lambda found: f"reroute {' '.join(found)}")
actions = st.one_of(st.sampled_from([action for action in ACTIONS if action != "reroute"]), reroutes)
thresholds = st.dictionaries(shares, st.lists(actions, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
windows = st.one_of(
    st.none(), st.sampled_from(("minute", "hour", "day", "week", "month", "90s", "24h", "0.25s")), st.floats(1e-6, 1e9)
)
patterns = st.lists(words.filter(bool), min_size=1, max_size=3)


@st.composite
def every_limit(draw: st.DrawFn) -> Limit:
    """Return a limit without functions, as odd as limits can be."""
    options: dict[str, st.SearchStrategy[Any]] = {
        "per": st.one_of(st.sampled_from(SUBJECTS), keys, st.lists(keys, min_size=2, max_size=3).map(tuple)),
        "window": windows,
        "timezone": st.sampled_from(("UTC", "Europe/Berlin", "Etc/GMT+5")),
        "where": st.dictionaries(words.filter(bool), patterns, max_size=3),
        "at": thresholds,
        "name": words.filter(str.strip),
        "strict": st.booleans(),
        "shadow": st.booleans(),
        "wait": st.one_of(st.sampled_from((0, 30, 90, 3600)), st.floats(0, 1e300)),
        "unpriced": st.sampled_from(UNPRICED),
        "pace": st.floats(1e-9, 1e6),
    }
    try:
        return Limit(draw(amounts), draw(st.sampled_from(UNITS)), **draw(st.fixed_dictionaries({}, optional=options)))
    except WrongLimitError:
        assume(condition=False)
        raise
