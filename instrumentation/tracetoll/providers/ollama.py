"""ollama: a server of one's own, or Ollama's cloud, by its own API (`/v1` is openai's).

Sources: the SDK's sources (0.4 to 0.6.3), recorded traffic; semconv reference, 5.5. The functions of the module are
methods of a client that it makes when it is imported, so they pass through the same two methods. The server leaves
`prompt_eval_count` out where the prompt was in its cache: unknown then, not 0.
Longer than 80 lines: two shapes of request.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import (
    Answer,
    Events,
    Reason,
    Surface,
    asked,
    paths,
)
from tracetoll.usage import UsageMap

USAGE: Final = UsageMap(fields={"prompt_eval_count": u.INPUT, "eval_count": u.OUTPUT})
REQUEST: Final = {
    **asked("output_type=format reasoning=think"),
    "options": asked("max_tokens=num_predict temperature top_p top_k seed stop frequency_penalty presence_penalty"),
}
ANSWER: Final = Answer(id="", usage=paths(""), finish=Reason(("done_reason",)))


def asking(operation: str) -> Surface:
    """Return a surface that answers with text."""
    return Surface(
        operation=operation,
        usage=USAGE,
        request=REQUEST,
        answer=ANSWER,
        events=Events(),
        output_caps=("options.num_predict",),
    )


API: Final = Waist(
    name="ollama",
    provider="ollama",
    functions=(
        Function(at="ollama._client:Client._request", result="lazy", streams=("stream",)),
        Function(at="ollama._client:AsyncClient._request", asynchronous=True, result="lazy", streams=("stream",)),
    ),
    key=paths("arg0", "arg1"),
    body=Body(at=("json",)),
    base_url=("self", "_client", "base_url"),
    error_codes=paths("status_code"),
    surfaces={
        "POST /api/chat": asking("chat"),
        "POST /api/generate": asking("text_completion"),
        "POST /api/embed": Surface(operation="embeddings", usage=USAGE, answer=ANSWER, inference=False),
        "POST /api/embeddings": Surface(operation="embeddings", inference=False),
        "POST /v1/systemone": Surface(
            operation="classify",
            usage=UsageMap(fields={"input_tokens": u.INPUT, "output_tokens": u.OUTPUT}),
            answer=Answer(id=""),
        ),
    },
)

SEAMS: Final = (API,)
