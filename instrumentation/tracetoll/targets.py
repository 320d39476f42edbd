"""Who is called: the provider behind a base URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tracetoll import hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracetoll.reading import Path

_KEPT: Final = 1024
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Who is called: the provider behind a client's base URL. One per URL; compared by identity."""

    provider: str
    host: str | None
    port: int | None
    error_codes: tuple[Path, ...] = ()
    hides_reasoning: bool = False
    """Whether reasoning is counted in the provider's total only."""
    tells_stream_usage: bool = False
    """Whether this host is known to send usage in streams when asked to."""


class Targets:
    """Finds who is behind the base URLs of one SDK's clients."""

    def __init__(
        self, error_codes: tuple[Path, ...], provider_hosts: Mapping[str, str], renamed: Mapping[str, str]
    ) -> None:
        self._error_codes = error_codes
        self._provider_hosts = provider_hosts
        self._renamed = renamed
        self._known: dict[tuple[str, str], Target] = {}

    def at(self, url: str, otherwise: str) -> Target:
        """Return who is behind a URL; `otherwise` is the provider where nobody knows the host."""
        key = (url, otherwise)
        try:
            return self._known[key]
        except KeyError:
            pass
        try:
            split = urlsplit(url)
            host, port, scheme = split.hostname, split.port, split.scheme
        except ValueError:
            host, port, scheme = None, None, ""
        known = self._provider_hosts.get(host or "") or hosts.provider_at(host, port)
        provider = known or otherwise
        provider = self._renamed.get(provider, provider)
        found = Target(
            provider,
            host,
            None if port == _DEFAULT_PORTS.get(scheme) else port,
            self._error_codes,
            hides_reasoning=provider in hosts.HIDDEN_REASONING_PROVIDERS,
            tells_stream_usage=known in hosts.STREAM_USAGE_PROVIDERS,
        )
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[key] = found
        return found
