"""google-genai on Vertex AI."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from surfaces.sdks.google_genai import GENERATE, google
from surfaces.sdks.google_genai import SDK as GEMINI
from surfaces.ways import QUESTION, Surface


class Credentials:
    """Stands for those of google.auth."""

    token = "none"  # noqa: S105  # it is none
    quota_project_id = None
    expired = False

    def refresh(self, _: Any) -> None:
        """Do nothing."""


SDK = replace(
    GEMINI,
    name="google_vertex",
    client=google(vertexai=True, project="toll", location="europe-west4", credentials=Credentials()),
    provider="gcp.vertex_ai",
    patched=(),
)
CONTENT = replace(GENERATE, sdk="google_vertex")
EMBED = Surface(
    sdk="google_vertex",
    method="models.embed_content",
    path="/models/text-embedding-005:predict",
    arguments={"model": "text-embedding-005", "contents": ["one", "two words"], "config": {"output_dimensionality": 1}},
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 1},
    in_counters=False,
    priced=False,
)
IMAGES = Surface(
    sdk="google_vertex",
    method="models.generate_images",
    path="/models/imagen-4.0-generate-001:predict",
    arguments={"model": "imagen-4.0-generate-001", "prompt": QUESTION, "config": {"number_of_images": 2}},
    operation="generate_content",
    span={"gen_ai.output.type": "image", "gen_ai.request.choice.count": 2, "tracetoll.usage.image.count": 2},
    priced=False,
)
SURFACES = (CONTENT, EMBED, IMAGES)
