"""For the examples: a provider on this machine, where no key is set."""

from __future__ import annotations

import os

from tracetoll.local_provider import LocalProvider

# SDK variables, and where in the local provider they point.
_OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "/v1")
_ANTHROPIC = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "")


def local_unless_key() -> LocalProvider:
    """Start a local provider, and let the SDKs whose key is not set ask it. It ends with the process."""
    provider = LocalProvider()
    for key, base_url, path in (_OPENAI, _ANTHROPIC):
        if not os.environ.get(key):
            os.environ[key] = "none"
            os.environ[base_url] = provider.url + path
    return provider
