"""Limits as text: what people write, what is written back, and what is said about mistakes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from limit_values import every_limit

from tracetoll.limits.limit import Limit, WrongLimitError
from tracetoll.limits.text import format_limit, parse_limit, parse_limits, show_limit


def told(_: object) -> None:
    """Do nothing, as the callback of a limit."""


@given(every_limit())
def test_a_limit_is_read_as_it_was_written(limit: Limit) -> None:
    assert limit == parse_limit(format_limit(limit))


@given(every_limit(), every_limit())
def test_limits_on_one_line_stay_apart(one: Limit, other: Limit) -> None:
    assert ([one, other], []) == parse_limits(f"{format_limit(one)}; {format_limit(other)}")


def test_several_limits_are_read_and_know_where_they_stood() -> None:
    limits, errors = parse_limits(
        "50000 tokens per trace; 2 usd per trace;; 1M tokens per user.id per day\n"
        "2M tokens per gen_ai.request.model per minute throttle;"
    )

    assert [
        Limit(50_000, "tokens", per="trace"),
        Limit(2, "usd", per="trace"),
        Limit(1_000_000, "tokens", per="user.id", window="day"),
        Limit(2_000_000, "tokens", per="gen_ai.request.model", window="minute", at={1.0: "throttle"}),
    ] == limits
    assert {"TRACETOLL_LIMITS"} == {limit.source for limit in limits}
    assert [] == errors


def test_a_malformed_limit_does_not_hide_the_others() -> None:
    limits, errors = parse_limits('5 calls; 5 cals; 6 calls named "open\n7 calls', source="here")

    assert [Limit(5, "calls"), Limit(7, "calls")] == limits
    cals, unclosed = map(str, errors)
    assert "unit: 'cals' is not known; did you mean 'calls'? (here: '5 cals')" == cals
    assert unclosed.startswith(
        "limit: '\"open' begins with a quote that is not closed; write a \" at its end, too (here"
    )


def test_no_text_is_no_limits() -> None:
    assert ([], []) == parse_limits(" ;\n ; ")


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("50_000 tokens", 50_000, "tokens"),
        ("50,000 token", 50_000, "tokens"),
        ("1.5k Tokens", 1_500, "tokens"),
        ("2B input tokens", 2_000_000_000, "input_tokens"),
        ("1e6 output_tokens", 1_000_000, "output_tokens"),
        ("10 call", 10, "calls"),
        ("$2", 2, "usd"),
        ("$ 1.5K usd", 1_500, "usd"),
        ("0.25 dollars", 0.25, "usd"),
        ("0.1234567890123456789 usd", Decimal("0.1234567890123456789"), "usd"),
        ("80% context_window", 0.8, "context_window"),
        ("0.8 context window", 0.8, "context_window"),
        ("80% of the context_window", 0.8, "context_window"),
        ("80%", 0.8, "context_window"),
    ],
)
def test_an_amount_is_read_exactly(text: str, amount: float | Decimal, unit: str) -> None:
    assert Limit(amount, unit) == parse_limit(text)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("per TRACE", {"per": "trace"}),
        ("per minute", {"window": "minute"}),
        ("per user.id per 5 minutes", {"per": "user.id", "window": "5m"}),
        ("per life", {}),
        ('per "day"', {"per": "day"}),
        ("per (tenant, team)", {"per": ("tenant", "team")}),
        ("per tenant,team per day", {"per": ("tenant", "team"), "window": "day"}),
        ("per month in Europe/Berlin", {"window": "month", "timezone": "Europe/Berlin"}),
        ("where tenant=a*|b-*, model=!gpt-4o*", {"where": {"tenant": ["a*", "b-*"], "model": "!gpt-4o*"}}),
        ('where tenant="a \\"b\\"; c"', {"where": {"tenant": 'a "b"; c'}}),
        ("warn at 80% block", {"at": {0.8: "warn", 1.0: "block"}}),
        ("warn at 0.8 cut at 80%", {"at": {0.8: ("warn", "cut")}}),
        ("reroute gpt-4o-mini at 80%", {"at": {0.8: "reroute gpt-4o-mini"}}),
        (
            "reroute gpt-4o=gpt-4o-mini gpt-5*=gpt-5-mini at 50% block",
            {"at": {0.5: "reroute gpt-4o=gpt-4o-mini gpt-5*=gpt-5-mini", 1.0: "block"}},
        ),
        ("strict shadow wait 2m", {"strict": True, "shadow": True, "wait": 120}),
        ("unpriced block pace 10%", {"unpriced": "block", "pace": 0.1}),
        ("wait 0 unpriced warn Block", {"wait": 0}),
        ('named "free tier" warn', {"name": "free tier", "at": {1.0: "warn"}}),
    ],
)  # fmt: skip
def test_a_clause_is_read(text: str, options: dict[str, Any]) -> None:
    assert Limit(5, "tokens", **options) == parse_limit(f"5 tokens {text}")


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Limit(50_000.0), "50000 tokens"),
        (Limit(0.25, "usd", per="trace"), "0.25 usd per trace"),
        (Limit(0.8, "context_window", per="call"), "80% context_window per call"),
        (Limit(1, per="day"), '1 tokens per "day"'),
        (Limit(1, per=("tenant", "a|b")), '1 tokens per (tracetoll.tenant, "a|b")'),
        (
            Limit(
                100_000, per="user.id", window="day", timezone="Europe/Berlin", where={"model": ["gpt-4o*", "a b"]},
                at={0.8: "warn", 1.0: ("block", "reroute a=b c")}, name="free tier", strict=True, shadow=True,
                wait=0.5, unpriced="allow", pace=0.1,
            ),
            (
                '100000 tokens per user.id per day in Europe/Berlin where gen_ai.request.model=gpt-4o*|"a b" '
                'warn at 80% block reroute a=b c strict shadow wait 0.5s unpriced allow pace 10% named "free tier"'
            ),
        ),
    ],
)  # fmt: skip
def test_a_limit_is_written_as_people_would(limit: Limit, text: str) -> None:
    assert text == format_limit(limit)


def test_a_function_is_told_by_its_name_but_is_not_written() -> None:
    limit = Limit(5, at={0.5: told})

    assert "5 tokens told at 50%" == show_limit(limit)
    with pytest.raises(
        WrongLimitError, match="at: told is a function, which cannot be written as text; name an action"
    ):
        format_limit(limit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "amount: there is none; write for example '50000 tokens per trace'"),
        ("tokens per trace", "amount: 'tokens' is not an amount; write it as 50000, 50_000"),
        ("-5 tokens", "amount: '-5' is not an amount"),
        ("0,25 usd", "amount: '0,25' is not an amount"),
        ("1_ tokens", "amount: '1_' is not an amount"),
        ("1.2.3 tokens", "amount: '1.2.3' is not an amount"),
        ("$80% usd", "amount: '$80%' is in dollars and in percent"),
        ("1e999 tokens", "amount: Decimal('1E+999') is not an amount"),
        ("50000", "unit: there is none after '50000'; write for example"),
        ("50000 per trace", "unit: there is none before 'per'; write for example"),
        ("50 tokns", "unit: 'tokns' is not known; did you mean 'tokens'?"),
        ("50 bananas", "unit: 'bananas' is not known; known are: tokens, input_tokens"),
        ("50 input calls", "unit: 'input calls' is not known"),
        ("$2 tokens", "unit: 'tokens' is not in dollars, and the amount is; drop the $, or the unit"),
        ("80% usd", "unit: 'usd' cannot be given in percent; only context_window can"),
        ("5 tokens pre trace", "limit: 'pre' is not expected here; did you mean 'per'?"),
        ("5 tokens blok", "limit: 'blok' is not expected here; did you mean 'block'?"),
        ("5 tokens = 3", "limit: '=' is not expected here; put text with special characters in double quotes"),
        ("5 tokens; 6 tokens", "limit: there are 2 limits where one is wanted"),
        ('5 tokens named "x', "limit: '\"x' begins with a quote that is not closed"),
        ("5 tokens per", "per: there is nothing at the end of the text; write for example 'per user.id per day'"),
        ("5 tokens per per day", "per: 'per' stands where a value is wanted"),
        ("5 tokens per trce", "per: 'trce' is not known; did you mean 'trace'?"),
        ("5 tokens per (tenant, team", "per: the bracket is not closed before the end of the text"),
        ("5 tokens per (tenant team)", "per: the bracket is not closed before 'team'"),
        ("5 tokens per tenant,trace", "per: 'trace' cannot be part of a tuple"),
        ("5 tokens per dayly", "window: 'dayly' is not known; did you mean 'day'? (an attribution key of that name"),
        ("5 tokens per user.id per dayly", "window: 'dayly' is not known; did you mean 'day'?"),
        ("5 tokens per user.id per tenant", "window: 'tenant' is not known; write minute, hour"),
        ("5 tokens per day per week", "window: 'week' is one too many"),
        ("5 tokens per 5x", "window: '5x' is in no known unit"),
        ("5 tokens in Europe/Berln", "timezone: 'Europe/Berln' is not known; did you mean 'Europe/Berlin'?"),
        ("5 tokens where tenant", "where: 'tenant' is not followed by a pattern; write tenant=PATTERN"),
        ("5 tokens where tenant!=x", "where: 'tenant!' is not followed by a pattern; write tenant=PATTERN, or"),
        ("5 tokens where tenant=", "where.tenant: there is nothing at the end of the text"),
        ("5 tokens where tenant=a, tenant=b", "where: 'tenant' is given twice; write tenant=PATTERN|PATTERN"),
        ("5 tokens at 80%", "at: 'at' does not follow an action; write for example 'warn at 80%'"),
        ("5 tokens warn at", "at: there is nothing at the end of the text; write for example 'warn at 80%'"),
        ("5 tokens warn at 80", "at: '80' is a multiple of the amount; for a percentage write 80%"),
        ("5 tokens warn at most", "at: 'most' is not a share of the amount; write one such as 80% or 0.8"),
        ("5 tokens warn at 0%", "at: 0.0 is not a share of the amount; give a number above 0"),
        ("5 tokens reroute", "at.1: 'reroute ' does not say where to"),
        ('5 tokens reroute "a b"', "at: 'a b' is no name of a model"),
        ('5 tokens reroute "a=b"=c', "at: 'a=b' is no pattern of a model"),
        ("5 tokens throttle", "at: throttle waits for the window to move on, and there is none"),
        ("5 tokens strict strict", "strict: 'strict' is one too many"),
        ("5 tokens wait soon", "wait: 'soon' is not a duration; write one such as '90s'"),
        ("5 tokens unpriced", "unpriced: '' is not known; known are: block, warn, allow"),
        ("5 tokens unpriced blok", "unpriced: 'blok' is not known; did you mean 'block'?"),
        ("5 tokens pace fast", "pace: 'fast' is not a share of the amount"),
        ("5 tokens named", "name: there is nothing at the end of the text; write for example 'named free-tier'"),
        ("5 tokens named a b", "limit: 'b' is not expected here"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_the_text_the_word_and_a_way_out(text: str, message: str) -> None:
    with pytest.raises(WrongLimitError) as refused:
        parse_limit(text, source="SOURCE")

    text_told = str(refused.value)
    assert message == text_told[: len(message)]
    assert text_told.endswith(f"(SOURCE: {text!r})")
