"""Call another service: it may spend what is left here, and what it spent counts here.

The service runs as a process of its own, which this script starts.
"""

import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from _provider import local_unless_key
from _telemetry import spans_in_memory
from openai import OpenAI
from opentelemetry import context, propagate

from tracetoll import Instrumentor, LimitExceeded, agent, attribution, limits, tool
from tracetoll.across import ReturnSpentWSGI, take_spent

# --- the service --------------------------------------------------------------------------


def summary(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request: an ordinary WSGI application, which asks a model."""
    names = {name: name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")}
    # OpenTelemetry's instrumentation of your web framework does this:
    token = context.attach(propagate.extract({header: environ[name] for name, header in names.items()}))
    try:
        answer = OpenAI().chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Sum up the tariff of the river."}]
        )
        status, text = "200 OK", str(answer.choices[0].message.content)
    except LimitExceeded as error:
        status, text = "429 Too Many Requests", str(error)
    finally:
        context.detach(token)
    start_response(status, [("Content-Type", "text/plain")])
    return [text.encode()]


class Quiet(WSGIRequestHandler):
    """Serve without a line per request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve() -> None:
    """Take attribution and limits from whoever asks, and tell them what their requests cost."""
    Instrumentor().instrument(baggage_in=["user.id", "tracetoll.limits"])
    with make_server("127.0.0.1", 0, ReturnSpentWSGI(summary), handler_class=Quiet) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


# --- who calls it -------------------------------------------------------------------------


@tool("summary")
def ask(port: int) -> tuple[int, str]:
    """Return the status and the text of an answer."""
    headers: dict[str, str] = {}
    propagate.inject(headers)  # OpenTelemetry's instrumentation of your HTTP client does this
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    take_spent(answer.headers)
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def main() -> None:
    """Ask until the service is refused any more calls."""
    spans_in_memory()
    local_unless_key()
    Instrumentor().instrument(limits=["3 calls per trace"], baggage_out=["user.id", "tracetoll.limits"])
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, encoding="utf-8") as service:
        port = int(service.stdout.readline())
        with attribution(user_id="ada"), agent("planner"), limits() as spend:
            status, text = ask(port)
            while status == 200:
                print(f"{status} after {spend.calls} calls, {spend.usage.total_tokens} tokens, ${spend.cost:.6f}")
                status, text = ask(port)
        service.kill()
    print(status, text)


if sys.argv[1:] == ["serve"]:
    serve()
else:
    main()
