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
    "bedrock": Sdk("botocore", (1, 35), 1, ("botocore.client",)),
    "groq": Sdk("groq", (0, 9), 1, ("groq",)),
    "together": Sdk("together", (1, 6), 3, ("together",)),
    "writer": Sdk("writer-sdk", (2, 4), 3, ("writerai",)),
    "cerebras": Sdk("cerebras-cloud-sdk", (1, 0), 1, ("cerebras.cloud.sdk",)),
    "fireworks": Sdk("fireworks-ai", (1, 2), 1, ("fireworks",)),
    "perplexity": Sdk("perplexityai", (0, 29), 0, ("perplexity",)),
    "portkey": Sdk("portkey-ai", (2, 3), 2, ("portkey_ai",)),
    "google_genai": Sdk("google-genai", (1, 75), 3, ("google.genai",)),
    "vertexai": Sdk(
        "google-cloud-aiplatform",
        (2, 7),
        2,
        ("google.cloud.aiplatform_v1", "google.cloud.aiplatform_v1beta1"),
    ),
    "azure_ai_inference": Sdk("azure-ai-inference", (1, 0), 1, ("azure.ai.inference",)),
    "pydo": Sdk("pydo", (0, 44), 0, ("pydo",)),
    "replicate": Sdk("replicate", (1, 0), 1, ("replicate",)),
    "ai21": Sdk("ai21", (3, 0), 4, ("ai21",)),
    "xai_sdk": Sdk("xai-sdk", (1, 0), 1, ("xai_sdk",)),
    "huggingface_hub": Sdk("huggingface-hub", (0, 30), 2, ("huggingface_hub.inference._client",)),
    "litellm": Sdk("litellm", (1, 80), 1, ("litellm",)),
    "mistral": Sdk(
        "mistralai",
        (1, 2),
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
    "cohere": Sdk("cohere", (5, 18), 7, ("cohere",)),
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
    "watsonx": Sdk("ibm-watsonx-ai", (1, 5), 1, ("ibm_watsonx_ai",)),
    "voyage": Sdk("voyageai", (0, 3, 7), 0, ("voyageai",)),
}
