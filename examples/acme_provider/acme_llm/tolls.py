"""Where Acme's SDK is counted, and how. Only tracetoll imports this, so the SDK does not depend on it.

Acme counts what it read from its cache beside the rest of the input, and what it thought beside the text.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Events, Reason, Surface, as_int, paths
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

WRITE: Final = Surface(
    operation="text_completion",
    usage=UsageMap(
        fields={"read": u.INPUT, "cached": u.CACHE_READ, "written": u.OUTPUT, "thought": u.REASONING},
        cache="beside",
        added={u.REASONING: u.OUTPUT},
    ),
    request={"longest": (a.GEN_AI_REQUEST_MAX_TOKENS, as_int)},
    answer=Answer(id="ref", model="written_by", usage=paths("units"), finish=Reason(("stopped_by",), {"end": "stop"})),
    events=Events(),
    output_caps=("longest",),
)
SDK: Final = Waist(
    name="acme_llm",
    provider="acme",
    functions=(
        Function(at="acme_llm:Acme._ask"),
        Function(at="acme_llm:Acme._ask_streamed", result="lazy", streams=True),
        Function(at="acme_llm:AsyncAcme._ask", asynchronous=True),
        Function(at="acme_llm:AsyncAcme._ask_streamed", asynchronous=True, result="lazy", streams=True),
    ),
    key=paths("path"),
    body=Body(at=("body",)),
    base_url=("self", "base_url"),
    error_codes=paths("code"),
    surfaces={"/v2/write": WRITE},
)

SEAMS: Final = (SDK,)
