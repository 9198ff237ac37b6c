"""Emotions of the public corpora, in the order in which published feature files number them."""

from __future__ import annotations

MELD = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
IEMOCAP = ("happiness", "sadness", "neutral", "anger", "excitement", "frustration")
