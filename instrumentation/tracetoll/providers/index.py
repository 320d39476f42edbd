"""The provider SDKs that are known: what announces them, and which versions are counted.

A provider's file is imported when its SDK is, so that an application pays for what it uses only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRY_POINTS: Final = "tracetoll_provider"
"""The group in which other packages announce providers; an entry's name is the SDK's module, its value has SEAMS."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """A provider's SDK: its distribution, the oldest version that is counted, the newest major version known.

    `modules`: the import of any of these brings the provider's file in.
    """

    distribution: str
    oldest: tuple[int, ...]
    newest_major: int
    modules: tuple[str, ...]


KNOWN: Final[Mapping[str, Sdk]] = {
    "openai": Sdk("openai", (1, 40), 3, ("openai",)),
    "anthropic": Sdk("anthropic", (0, 34), 2, ("anthropic",)),
    "google_genai": Sdk("google-genai", (1, 0), 3, ("google.genai",)),
    "mistral": Sdk(
        "mistralai",
        (1, 0),
        3,
        # Since 2 `mistralai` is a namespace only, so it is the modules themselves that announce it.
        (
            "mistralai.basesdk",
            "mistralai_azure.basesdk",
            "mistralai_gcp.basesdk",
            "mistralai.client.basesdk",
            "mistralai.azure.client.basesdk",
            "mistralai.gcp.client.basesdk",
        ),
    ),
    "cohere": Sdk("cohere", (5, 11), 7, ("cohere",)),
    "ollama": Sdk("ollama", (0, 4), 0, ("ollama",)),
    # `agents` is everybody's name, so it is the modules themselves that announce it.
    "openai_agents": Sdk(
        "openai-agents", (0, 24), 0, ("agents.realtime.openai_realtime", "agents.models.openai_responses")
    ),
    "claude_agent": Sdk("claude-agent-sdk", (0, 2, 188), 0, ("claude_agent_sdk",)),
    "sarvam": Sdk("sarvamai", (0, 1, 39), 0, ("sarvamai",)),
    "reka": Sdk("reka-api", (3, 2), 3, ("reka",)),
    "premai": Sdk("premai", (0, 18), 0, ("premai",)),
    "letta": Sdk("letta-client", (1, 12), 1, ("letta_client",)),
    "aleph_alpha": Sdk("aleph-alpha-client", (11, 5), 11, ("aleph_alpha_client",)),
    "oci": Sdk("oci", (2, 189), 2, ("oci.generative_ai_inference",)),
    "voyage": Sdk("voyageai", (0, 3, 7), 0, ("voyageai",)),
}
