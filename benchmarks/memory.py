"""Whether anything grows: many calls, answered, streamed, abandoned and failed, and what stays.

    python benchmarks/memory.py [--calls 100000]

Prints resident memory and the number of live objects every tenth of the way. Both must level off; objects
may differ by the few dozen calls whose metrics are still to be recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging

import openai
import psutil
import wire
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from overhead import providers

from tracetoll import Instrumentor


def main() -> None:
    """Make the calls, and print what stays."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--bare", action="store_true", help="without tracetoll, to compare")
    arguments = parser.parse_args()
    wanted = arguments.calls
    logging.disable(logging.WARNING)
    tracer_provider, meter_provider = providers(ALWAYS_ON)
    if not arguments.bare:
        Instrumentor().instrument(tracer_provider=tracer_provider, meter_provider=meter_provider, usage_log=True)
    client = openai.OpenAI(
        api_key="x", max_retries=0, http_client=wire.http_library().Client(transport=wire.transports()[0])
    )
    headers = {wire.CHUNKS_HEADER: "5"}

    def call(number: int) -> None:
        kind = number % 5
        if kind == 0:
            with contextlib.suppress(openai.InternalServerError):
                client.chat.completions.create(model="fail", messages=wire.MESSAGES)
        elif kind == 1:
            for _ in client.chat.completions.create(
                model=wire.MODEL, messages=wire.MESSAGES, stream=True, extra_headers=headers
            ):
                pass
        elif kind == 2:  # dropped half-way
            next(
                iter(
                    client.chat.completions.create(
                        model=wire.MODEL, messages=wire.MESSAGES, stream=True, extra_headers=headers
                    )
                )
            )
        else:
            client.chat.completions.create(messages=wire.MESSAGES, **wire.SETTINGS)

    process = psutil.Process()
    print(f"{'calls':>9}{'resident MiB':>14}{'live objects':>14}")
    for number in range(wanted + 1):
        if number % (wanted // 10) == 0 and number:
            gc.collect()
            tracer_provider.force_flush()
            print(f"{number:9}{process.memory_info().rss / 2**20:14.1f}{len(gc.get_objects()):14}", flush=True)
        call(number)


if __name__ == "__main__":
    main()
