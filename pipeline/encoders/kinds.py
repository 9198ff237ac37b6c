"""Where the kinds of each modality's encoder are, for who looks at all modalities alike."""

from __future__ import annotations

ENCODERS = {
    "text": "pipeline.encoders.text",
    "audio": "pipeline.encoders.audio",
    "visual": "pipeline.encoders.visual",
}
"""Package of the kinds, by modality."""
