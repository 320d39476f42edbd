"""portkey-ai 1.10 and later, 2: Portkey's gateway.

Sources: the SDK's own code (2.3.4), recorded traffic. It brings a copy of openai with it, which asks for everything but
stored prompts; those have a transport of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import openai
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import paths

PROMPT: Final = replace(openai.CHAT, output_caps=("max_tokens",))
VENDORED: Final = replace(
    openai.SDK, name="portkey", module="portkey_ai._vendor.openai", provider="portkey", classes={}
)
CLIENT: Final = "portkey_ai.api_resources.base_client:"
PROMPTS: Final = Waist(
    name="portkey",
    provider="portkey",
    functions=(
        Function(at=CLIENT + "APIClient._request", result="iterating", streams=("stream",)),
        Function(at=CLIENT + "AsyncAPIClient._request", asynchronous=True, result="iterating", streams=("stream",)),
    ),
    key=paths("options.method", "options.url"),
    body=Body(at=("options", "json_body")),
    base_url=("self", "base_url"),
    headers=("_headers",),
    error_codes=paths("status_code"),
    surfaces={"POST /prompts/{id}/completions": PROMPT},
)

SEAMS: Final = (VENDORED, PROMPTS)
