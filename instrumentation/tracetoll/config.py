"""Settings: one typed object, read from TRACETOLL_* variables and instrument() arguments.

A wrong value never raises into the application: it is named in one warning, with what is allowed, and
the default holds.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from tracetoll.attribution import NAMES, attribute_name

log: Final = logging.getLogger("tracetoll")

CONTENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

STREAM_USAGE: Final = ("known", "always", "never")
METRICS: Final = ("standard", "counters", "cost", "agents", "traces", "distributions")
ALIASES: Final = (
    "cache_creation",
    "total_tokens",
    "draft_cost",
    "openinference",
    "openllmetry",
    "openlit",
    "traceai",
    "litellm",
    "logfire",
    "anthropic",
)
CONSOLE: Final = ("none", "tree")
CONTENT: Final = ("no_content", "span_only", "event_only", "span_and_event")
_SHORTEST_KEY: Final = 16


class WrongValueError(ValueError):
    """A setting's value cannot be used; the message says what can."""


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        parts = tuple(value)
        if all(isinstance(part, str) for part in parts):
            return parts
    msg = "a list of words, separated by commas"
    raise WrongValueError(msg)


def _names(value: Any) -> frozenset[str]:
    return frozenset(attribute_name(word) for word in _words(value))


def _some_of(*allowed: str) -> Callable[[Any], frozenset[str]]:
    def parse(value: Any) -> frozenset[str]:
        words = [word.lower() for word in _words(value)]
        if words == ["none"]:
            return frozenset()
        if not set(words) <= set(allowed):
            msg = f"none, or some of {', '.join(allowed)}"
            raise WrongValueError(msg)
        return frozenset(words)

    return parse


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or value.strip().lower() not in allowed:
            msg = f"one of {', '.join(allowed)}"
            raise WrongValueError(msg)
        return value.strip().lower()

    return parse


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in known:
        msg = "true or false"
        raise WrongValueError(msg)
    return known[word]


def _secret(value: Any) -> str:
    if not isinstance(value, str) or len(value) < _SHORTEST_KEY:
        msg = f"a secret of at least {_SHORTEST_KEY} characters"
        raise WrongValueError(msg)
    return value


def _share(value: Any) -> float | None:
    return _number(value, "a share above 0 and up to 1, such as 0.8, or none", most=1.0)


def _factor(value: Any) -> float | None:
    return _number(value, "a number above 0, such as 3, or none")


def _number(value: Any, wanted: str, most: float = math.inf) -> float | None:
    if isinstance(value, str) and value.strip().lower() in {"none", "off", "0"}:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 < number <= most or number == math.inf:
        raise WrongValueError(wanted)
    return number


def _path(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        msg = "the path of a YAML file"
        raise WrongValueError(msg)
    return str(value)


def _hosts(value: Any) -> Mapping[str, str]:
    if isinstance(value, Mapping):
        return {str(host).lower(): str(provider) for host, provider in value.items()}
    found: dict[str, str] = {}
    for word in _words(value):
        host, _, provider = word.partition("=")
        if not host or not provider:
            msg = "host=provider pairs, separated by commas, such as llm.corp.example=openai"
            raise WrongValueError(msg)
        found[host.strip().lower()] = provider.strip()
    return found


def _setting(variable: str, parse: Callable[[Any], Any], default: Any) -> Any:
    metadata = {"variable": variable, "parse": parse}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Each field is an argument of instrument() and a variable."""

    providers: tuple[str, ...] = _setting("TRACETOLL_PROVIDERS", _words, ())
    """Names of the providers' files to use; empty: all known."""
    stream_usage: str = _setting("TRACETOLL_STREAM_USAGE", _one_of(*STREAM_USAGE), "known")
    """Whether to ask for usage in streams that would have none: at hosts known to take it, always, never."""
    aliases: frozenset[str] = _setting("TRACETOLL_ALIASES", _some_of(*ALIASES), frozenset({"cache_creation"}))
    """Other tools' attribute names to write beside ours."""
    metrics: frozenset[str] = _setting(
        "TRACETOLL_METRICS", _some_of(*METRICS), frozenset({"standard", "counters", "cost", "agents", "traces"})
    )
    """Which families of metrics to record."""
    metric_attributes: frozenset[str] = _setting("TRACETOLL_METRIC_ATTRIBUTES", _names, frozenset())
    """Attribution that may become a metric attribute; keep to few values each."""
    baggage_in: frozenset[str] = _setting("TRACETOLL_BAGGAGE_IN", _names, frozenset(NAMES.values()))
    """Entries of incoming W3C baggage to take as attribution."""
    baggage_out: frozenset[str] = _setting("TRACETOLL_BAGGAGE_OUT", _names, frozenset())
    """Attribution to send on as W3C baggage; it goes to every host that is called."""
    rollup: bool = _setting("TRACETOLL_ROLLUP", _switch, default=True)
    """Whether agents, workflows and local roots get the totals of the calls below them."""
    usage_log: bool = _setting("TRACETOLL_USAGE_LOG", _switch, default=False)
    """Whether to write one log record per call, whatever is sampled."""
    prompt_fingerprint_key: str | None = _setting("TRACETOLL_PROMPT_FINGERPRINT_KEY", _secret, None)
    """The secret of the keyed hash that marks equal prompts; None: none is made."""
    rate_limits: bool = _setting("TRACETOLL_RATE_LIMITS", _switch, default=True)
    """Whether to report the provider's rate-limit headers."""
    cost_details: bool = _setting("TRACETOLL_COST_DETAILS", _switch, default=False)
    """Whether spans say what a cost is made of, and by which prices; the usage log always does."""
    console: str = _setting("TRACETOLL_CONSOLE", _one_of(*CONSOLE), "none")
    """Whether each trace with model calls is printed as a tree when it ends, to standard error."""
    provider_hosts: Mapping[str, str] = _setting("TRACETOLL_PROVIDER_HOSTS", _hosts, {})
    """Who answers at hosts that we cannot know, such as a gateway."""
    policy: str | None = _setting("TRACETOLL_POLICY", _path, None)
    """A YAML file of limits, which is looked at again while the application runs."""
    policy_check_s: float = _setting("TRACETOLL_POLICY_CHECK_S", _factor, 5.0)
    """After how many seconds the policy file is looked at again, when a call is made."""
    context_warning: float | None = _setting("TRACETOLL_CONTEXT_WARNING", _share, 0.8)
    """Share of the model's context window from which a call is worth an event; None: never."""
    call_warning: float | None = _setting("TRACETOLL_CALL_WARNING", _factor, None)
    """Tokens of one call from which it is worth an event; None: never."""
    task_factor: float | None = _setting("TRACETOLL_TASK_FACTOR", _factor, None)
    """How many times the usual tokens of its agent or feature a task may use before that is worth an event."""
    content: str = _setting(CONTENT_VARIABLE, _one_of(*CONTENT), "no_content")
    """Whether prompts and answers may leave, by upstream's variable and values."""

    @property
    def content_on_spans(self) -> bool:
        """Whether message content goes on spans."""
        return self.content in ("span_only", "span_and_event")

    @property
    def content_in_events(self) -> bool:
        """Whether message content goes into log events."""
        return self.content in ("event_only", "span_and_event")


def read_settings(arguments: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings: an argument of instrument() wins over its variable, that over the default.

    An argument that is None counts as not given. An unknown TRACETOLL_* variable is not our business.
    """
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    settings = Settings()
    for one in fields(Settings):
        variable, parse = one.metadata["variable"], one.metadata["parse"]
        if one.name in given:
            source, value = f"instrument({one.name}=…)", given.pop(one.name)
        elif environment.get(variable, "") != "":
            source, value = variable, environment[variable]
        else:
            continue
        try:
            settings = replace(settings, **{one.name: parse(value)})
        except WrongValueError as wrong:
            shown = "the value given" if one.name == "prompt_fingerprint_key" else repr(value)
            log.warning("%s: %s is not %s; using the default, %r", source, shown, wrong, getattr(settings, one.name))
    for name in given:
        known = ", ".join(one.name for one in fields(Settings))
        log.warning("instrument(%s=…) is not a setting and is ignored; settings are: %s", name, known)
    return settings
