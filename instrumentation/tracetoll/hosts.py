"""Which provider answers at a host: one SDK is used for many of them (semconv reference, 5.0).

Values are upstream's `gen_ai.provider.name` where it has one, else the vendor's name in the same style.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

# pattern of the host name, port (None: any), provider
_HOSTS: Final[tuple[tuple[str, int | None, str], ...]] = (
    ("api.openai.com", None, "openai"),
    ("*.api.openai.com", None, "openai"),  # regional: eu.api.openai.com
    ("*.openai.azure.com", None, "azure.ai.openai"),
    ("*.cognitiveservices.azure.com", None, "azure.ai.openai"),
    ("*.services.ai.azure.com", None, "azure.ai.openai"),
    ("api.anthropic.com", None, "anthropic"),
    ("bedrock-runtime*.amazonaws.com", None, "aws.bedrock"),
    ("bedrock-mantle*.api.aws", None, "aws.bedrock"),
    ("bedrock-mantle*.amazonaws.com", None, "aws.bedrock"),
    ("generativelanguage.googleapis.com", None, "gcp.gemini"),
    ("*aiplatform.googleapis.com", None, "gcp.vertex_ai"),
    ("api.groq.com", None, "groq"),
    ("api.deepseek.com", None, "deepseek"),
    ("api.x.ai", None, "x_ai"),
    ("*.api.x.ai", None, "x_ai"),
    ("api.mistral.ai", None, "mistral_ai"),
    ("api.perplexity.ai", None, "perplexity"),
    ("api.cohere.com", None, "cohere"),
    ("api.cohere.ai", None, "cohere"),
    ("*.ml.cloud.ibm.com", None, "ibm.watsonx.ai"),
    ("api.moonshot.*", None, "moonshot_ai"),
    ("openrouter.ai", None, "openrouter"),
    ("api.together.xyz", None, "together_ai"),
    ("api.together.ai", None, "together_ai"),
    ("api.cerebras.ai", None, "cerebras"),
    ("router.huggingface.co", None, "hugging_face"),
    ("*.huggingface.cloud", None, "hugging_face"),
    ("api.fireworks.ai", None, "fireworks_ai"),
    ("api.writer.com", None, "writer"),
    ("api.ai21.com", None, "ai21"),
    ("api.voyageai.com", None, "voyage_ai"),
    ("*.snowflakecomputing.com", None, "snowflake"),
    ("api.z.ai", None, "z_ai"),
    ("open.bigmodel.cn", None, "z_ai"),
    ("api.replicate.com", None, "replicate"),
    ("api.portkey.ai", None, "portkey"),
    ("inference.do-ai.run", None, "digitalocean"),
    ("*.agents.do-ai.run", None, "digitalocean"),
    ("localhost", 11434, "ollama"),
    ("127.0.0.1", 11434, "ollama"),
    ("localhost", 1234, "lm_studio"),
    ("127.0.0.1", 1234, "lm_studio"),
    ("localhost", 30000, "sglang"),
    ("127.0.0.1", 30000, "sglang"),
)

# Hosts that take `stream_options.include_usage`, and then send one more chunk, without choices.
STREAM_USAGE_PROVIDERS: Final = frozenset(
    {"openai", "azure.ai.openai", "deepseek", "openrouter", "fireworks_ai", "writer", "digitalocean"}
)

# Gemini's OpenAI endpoint counts thoughts in the total only (semconv reference, 5.4).
HIDDEN_REASONING_PROVIDERS: Final = frozenset({"gcp.gemini"})


def provider_at(host: str | None, port: int | None) -> str | None:
    """Return the provider behind a host name, None for one that nobody knows (a proxy, a test server)."""
    if not host:
        return None
    name = host.lower()
    for pattern, wanted_port, provider in _HOSTS:
        if wanted_port in (None, port) and fnmatchcase(name, pattern):
            return provider
    return None
