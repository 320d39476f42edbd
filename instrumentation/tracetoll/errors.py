"""The low-cardinality class of an error, and the public exception of the package's own limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tracetoll.reading import dig, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tracetoll.limits.limit import Limit
    from tracetoll.reading import Path

BUDGET_EXCEEDED: Final = "budget_exceeded"

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


def code(value: object) -> str | None:
    """Return a provider's error code as text, None for what cannot be one (a sentence, an object)."""
    if type(value) is int:
        return str(value) if value > 0 else None  # -1 is ollama's word for none
    found = text(value)
    return found if found is not None and _CODE.fullmatch(found) else None


def class_name(error: BaseException) -> str:
    """Return the qualified name of an exception's class, bare for built-in ones."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_type(error: BaseException, paths: tuple[Path, ...]) -> str:
    """Return the provider's own code where the exception has one at `paths`, else its class name."""
    for where in paths:
        found = code(dig(error, where))
        if found is not None:
            return found
    return class_name(error)


def description(error: BaseException) -> str:
    """Return what may be told about an error without telling content.

    Messages of providers and of pydantic quote the prompt or the answer, so they are left out; see the
    content setting.
    """
    status = getattr(error, "status_code", None)
    return f"{class_name(error)} (HTTP {status})" if type(status) is int else class_name(error)


class LimitExceeded(RuntimeError):  # noqa: N818  # the name is part of the public face
    """A limit refused a call before anything was sent, or ended a running stream.

    `spent`, `reserved` (by calls that run) and `wanted` (by this call) are in the limit's unit; `account` is
    whose counter it is, such as `user.id:u1:2026-11-22`; `resets_at` is when the limit's window ends, None if
    it has none.
    """

    def __init__(
        self,
        limit: Limit,
        account: str,
        *,
        spent: float,
        reserved: float,
        wanted: float,
        resets_at: datetime | None = None,
        because: str = "",
    ) -> None:
        """Take everything that the message tells; `because` adds what the numbers do not say."""
        self.limit = limit
        self.account = account
        self.spent = spent
        self.reserved = reserved
        self.wanted = wanted
        self.resets_at = resets_at
        self.because = because
        super().__init__(self._message())

    def _message(self) -> str:
        limit, unit = self.limit, self.limit.unit.replace("_", " ")
        named = f"limit {limit.name!r} of {limit}" if limit.name else f"limit of {limit}"
        until = f"; resets at {self.resets_at.isoformat(timespec='seconds')}" if self.resets_at is not None else ""
        where = f" in {limit.source}" if limit.source else ""
        because = f" {self.because}" if self.because else ""
        return (
            f"{named}, {self.account}: {_amount(self.spent)} spent, {_amount(self.reserved)} reserved by running "
            f"calls, {_amount(self.wanted)} more wanted ({unit}){because}{until}; "
            f"to allow more, raise its amount{where}"
        )

    def __reduce__(self) -> tuple[Callable[..., LimitExceeded], tuple[object, ...]]:
        told = ("spent", "reserved", "wanted", "resets_at", "because")
        return _remade, (self.limit, self.account, {name: getattr(self, name) for name in told})


def _remade(limit: Limit, account: str, told: dict[str, Any]) -> LimitExceeded:
    return LimitExceeded(limit, account, **told)


def _amount(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6f}".rstrip("0").rstrip(".")
