"""Run Arize Phoenix with all that it listens on bound to 127.0.0.1; in the environment `phoenix`.

PHOENIX_HOST is for HTTP alone: its gRPC server binds to every address (arize-phoenix 20.26), so it is told where to.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc

_server = grpc.aio.server


def _on_loopback(*arguments: Any, **options: Any) -> Any:
    made = _server(*arguments, **options)
    bind = made.add_insecure_port
    made.add_insecure_port = lambda address: bind(f"127.0.0.1:{address.rpartition(':')[2]}")
    return made


if __name__ == "__main__":
    grpc.aio.server = _on_loopback
    from phoenix.server.main import main

    sys.argv = ["phoenix", "serve"]
    main()
