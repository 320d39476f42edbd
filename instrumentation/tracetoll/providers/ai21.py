"""ai21 3 and 4: Jamba on AI21's own API; OpenAI's format, usage in the last chunk of a stream.

Sources: the SDK's HTTP client (3.0.0 to 4.3.0), recorded traffic; semconv reference, 5.5. Maestro's runs, batches and
the library report no usage. AI21 on Bedrock, Vertex and Azure goes through the same client.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers.compatible import CHAT
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import paths

CLIENTS: Final = (("http_client:AI21HTTPClient", False), ("async_http_client:AsyncAI21HTTPClient", True))
SDK: Final = Waist(
    provider="ai21",
    key=paths("method", "path"),
    name="ai21",
    functions=tuple(
        Function(
            at=f"ai21.http_client.{client}.execute_http_request",
            result="response",
            asynchronous=asynchronous,
            streams=("stream",),
        )
        for client, asynchronous in CLIENTS
    ),
    body=Body(at=("body",)),
    base_url=("self", "_base_url"),
    error_codes=paths("status_code"),
    surfaces={"POST /chat/completions": replace(CHAT, output_caps=("max_tokens",))},
)

SEAMS: Final = (SDK,)
