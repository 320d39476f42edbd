"""The SDK of Acme, a provider that exists in this example only. It knows nothing of tracetoll."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2 as httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_STREAM = {"accept": "application/x-ndjson"}


class AcmeError(Exception):
    """Acme said no; `code` is its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Text:
    """What Acme wrote."""

    text: str
    stopped_by: str


class Acme:
    """A client of Acme."""

    def __init__(self, base_url: str = "https://api.acme.example") -> None:
        self.base_url = base_url
        self._http = httpx.Client(base_url=base_url, verify=False)  # nothing is encrypted here

    def write(self, prompt: str, *, model: str = "acme-1", longest: int | None = None) -> Text:
        """Return a text."""
        told = self._ask("/v2/write", _body(prompt, model, longest))
        return Text(told["text"], told["stopped_by"])

    def write_stream(self, prompt: str, *, model: str = "acme-1", longest: int | None = None) -> Iterator[str]:
        """Yield the pieces of a text as they come."""
        for told in self._ask_streamed("/v2/write", _body(prompt, model, longest)):
            yield told.get("text", "")

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        return _told(self._http.post(path, json=body))

    def _ask_streamed(self, path: str, body: dict[str, Any]) -> Iterator[Any]:
        with self._http.stream("POST", path, json=body, headers=_STREAM) as response:
            if response.is_error:
                response.read()
                _told(response)
            for line in response.iter_lines():
                yield json.loads(line)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class AsyncAcme:
    """A client of Acme, for asyncio."""

    def __init__(self, base_url: str = "https://api.acme.example") -> None:
        self.base_url = base_url
        self._http = httpx.AsyncClient(base_url=base_url, verify=False)  # nothing is encrypted here

    async def write(self, prompt: str, *, model: str = "acme-1", longest: int | None = None) -> Text:
        """Return a text."""
        told = await self._ask("/v2/write", _body(prompt, model, longest))
        return Text(told["text"], told["stopped_by"])

    async def write_stream(
        self, prompt: str, *, model: str = "acme-1", longest: int | None = None
    ) -> AsyncIterator[str]:
        """Yield the pieces of a text as they come."""
        async for told in self._ask_streamed("/v2/write", _body(prompt, model, longest)):
            yield told.get("text", "")

    async def _ask(self, path: str, body: dict[str, Any]) -> Any:
        return _told(await self._http.post(path, json=body))

    async def _ask_streamed(self, path: str, body: dict[str, Any]) -> AsyncIterator[Any]:
        async with self._http.stream("POST", path, json=body, headers=_STREAM) as response:
            if response.is_error:
                await response.aread()
                _told(response)
            async for line in response.aiter_lines():
                yield json.loads(line)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _body(prompt: str, model: str, longest: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    return body if longest is None else {**body, "longest": longest}


def _told(response: httpx.Response) -> Any:
    told = response.json()
    if response.is_error:
        raise AcmeError(told["code"], told["message"])
    return told
