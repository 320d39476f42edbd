"""reka-api 3."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import Sdk, hosted_chat
from tracetoll.local_provider import Reply


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    sdk, httpx = importlib.import_module("reka.client"), importlib.import_module("httpx")
    # Nothing is encrypted here, and loading certificates takes longer than all the rest.
    transport = (httpx.AsyncClient if use_async else httpx.Client)(verify=False)
    made = (sdk.AsyncReka if use_async else sdk.Reka)(
        api_key="none", base_url=f"{url}/reka/v1", httpx_client=transport, **options
    )
    made.close = transport.aclose if use_async else transport.close  # it has none of its own
    return made


HTTP = "reka.core.http_client:"
SDK = Sdk(
    name="reka",
    module="reka",
    client=client,
    provider="reka",
    patched=tuple(f"{HTTP}{kind}HttpClient.{name}" for kind in ("", "Async") for name in ("request", "stream")),
    error="reka.core.api_error:ApiError",
    rejected=lambda status: Reply(status, json={"detail": "No such toll"}),
    error_type="{}",
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
    belongs_to="reading",
)
SURFACES = (
    hosted_chat(
        "reka",
        "reka-core",
        method="chat.create",
        path="/reka/v1/chat",
        streams="chat.create_stream",
        priced=False,
    ),
)
