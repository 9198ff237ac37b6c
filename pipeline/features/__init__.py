"""The feature file: writing, reading, verifying, inspecting and joining it, its dialogues and its statistics;
nothing about media or networks.

The four names below are for everybody's Python.
"""

from pipeline.features.content import Features as Features
from pipeline.features.content import ModalityFeatures as ModalityFeatures
from pipeline.features.file import read_features as read_features
from pipeline.features.file import write_features as write_features
