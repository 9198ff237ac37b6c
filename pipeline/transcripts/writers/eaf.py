"""ELAN's .eaf: a tier per speaker, with child tiers ``predicted@Ann`` and ``probability@Ann``.

The text is laid out as ELAN 6 does it, since other readers of .eaf go by more than the XML.
https://www.mpi.nl/tools/elan/EAFv3.0.xsd
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from pipeline.transcripts.predicted import Predicted, Recording

SUFFIX = ".eaf"
DATE = "2000-01-01T00:00:00+00:00"
"""Of every file, so that equal predictions give equal bytes."""
KINDS = ("predicted", "probability")
VOCABULARY = "multiemo classes"
UTTERANCE_TYPE = "utterance"
CONSTRAINT = (
    '<CONSTRAINT DESCRIPTION="1-1 association with a parent annotation" STEREOTYPE="Symbolic_Association"/>'
)


def write(recording: Recording) -> bytes:
    """A new file with all utterances."""
    slots: list[int] = []
    tiers: list[str] = []
    count = 0
    for speaker, utterances in recording.by_speaker().items():
        own = [f"a{count + place}" for place in range(1, len(utterances) + 1)]
        count += len(own)
        annotations = []
        for id, each in zip(own, utterances, strict=True):
            slots += [each.start_ms, each.end_ms]
            annotations.append(
                f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{id}" TIME_SLOT_REF1="ts{len(slots) - 1}"'
                f' TIME_SLOT_REF2="ts{len(slots)}">{_value(each.text)}</ALIGNABLE_ANNOTATION>'
            )
        tiers.append(_tier(annotations, LINGUISTIC_TYPE_REF=UTTERANCE_TYPE, TIER_ID=speaker))
        for kind in KINDS:
            ids = [f"a{count + place}" for place in range(1, len(utterances) + 1)]
            count += len(ids)
            tiers.append(
                child_tier(kind, f"{kind}@{speaker}", speaker, ids, own, utterances, recording.model)
            )
    name = quote(recording.media)
    medium = f'<MEDIA_DESCRIPTOR MEDIA_URL="./{name}" MIME_TYPE="unknown" RELATIVE_MEDIA_URL="./{name}"/>'
    order = [f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{ms}"/>' for n, ms in enumerate(slots, 1)]
    entries = [
        f'<CV_ENTRY_ML CVE_ID="cveid_{number}">'
        f'<CVE_VALUE DESCRIPTION="" LANG_REF="und">{escape(name)}</CVE_VALUE></CV_ENTRY_ML>'
        for number, name in enumerate(recording.classes, 1)
    ]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<ANNOTATION_DOCUMENT AUTHOR="" DATE="{DATE}" FORMAT="3.0" VERSION="3.0"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">',
        f'<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{medium if recording.media else ""}'
        f'<PROPERTY NAME="lastUsedAnnotationId">{count}</PROPERTY></HEADER>',
        f"<TIME_ORDER>{''.join(order)}</TIME_ORDER>",
        *tiers,
        f'<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="{UTTERANCE_TYPE}"'
        ' TIME_ALIGNABLE="true"/>',
        *(child_type(kind, VOCABULARY if kind == "predicted" else "") for kind in KINDS),
        '<LANGUAGE LANG_DEF="http://cdb.iso.org/lg/CDB-00130975-001" LANG_ID="und"'
        ' LANG_LABEL="undetermined (und)"/>',
        CONSTRAINT,
        f'<CONTROLLED_VOCABULARY CV_ID="{VOCABULARY}"><DESCRIPTION LANG_REF="und"/>{"".join(entries)}'
        "</CONTROLLED_VOCABULARY>",
        "</ANNOTATION_DOCUMENT>",
    ]
    return ("\n".join(lines) + "\n").encode()


def type_name(kind: str) -> str:
    """What the type of tiers of a kind is called."""
    return f"multiemo {kind}"


def child_type(kind: str, vocabulary: str = "") -> str:
    """The type of tiers of a kind, whose annotations each belong to one of another tier."""
    listed = f' CONTROLLED_VOCABULARY_REF="{vocabulary}"' if vocabulary else ""
    return (
        f'<LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association"{listed} GRAPHIC_REFERENCES="false"'
        f' LINGUISTIC_TYPE_ID="{type_name(kind)}" TIME_ALIGNABLE="false"/>'
    )


def child_tier(
    kind: str,
    name: str,
    parent: str,
    ids: Sequence[str],
    owners: Sequence[str],
    utterances: Sequence[Predicted],
    model: str,
) -> str:
    """A tier of predictions or probabilities: annotations of these ids, each of one of the ``owners``."""
    annotations = []
    for id, owner, each in zip(ids, owners, utterances, strict=True):
        value = each.prediction if kind == "predicted" else f"{each.probability:.2f}"
        start = f'<REF_ANNOTATION ANNOTATION_ID="{id}" ANNOTATION_REF="{owner}">'
        annotations.append(f"{start}{_value(value)}</REF_ANNOTATION>")
    of_type = {"ANNOTATOR": model, "LINGUISTIC_TYPE_REF": type_name(kind), "PARENT_REF": parent}
    return _tier(annotations, **of_type, TIER_ID=name)


def _tier(annotations: Iterable[str], **attributes: str) -> str:
    listed = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    inner = "\n".join(f"<ANNOTATION>{each}</ANNOTATION>" for each in annotations)
    return f"<TIER {listed}>\n{inner}\n</TIER>"


def _value(text: str) -> str:
    return f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE>"
