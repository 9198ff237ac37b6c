"""Transcripts of every format, sound and then damaged.

Each must be refused in a few printable lines that name the file, or be imported into a table that the
manifest reads, with all that the reader found.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from benchmarks.fuzz.mutation import PIECES, damage
from pipeline.corpora.table import read_table
from pipeline.errors import UserError, printable
from pipeline.transcripts.importing import Wanted, import_transcripts
from pipeline.transcripts.labelling import Rule
from pipeline.transcripts.predicted import Predicted, Recording, writers
from pipeline.transcripts.table import write_table
from pipeline.transcripts.turns import Choice

TROUBLES = (
    *PIECES,
    *("<", ">", "&", "&x;", "</TIER>", "<!--", "<![CDATA["),
    *("]]>", "<!DOCTYPE a>", 'PARENT_REF="Ann"', "TIME_VALUE"),
    *("-->", "\n\n", "NOTE", "WEBVTT", "00:00:01.000 --> 00:00:02.000"),
    *("<v Ann>", "<c.a.b>", "- ", "Bob: ", "1\n"),
    *('""', "IntervalTier", "<exists>", "size = 3", "!", "}"),
    *("null", '"words": [{}]', '"speaker": "X"', "[0, null]"),
)
WORDS = ("oh", "Hi there.", "über", "悲しい", "😀", "well, no", 'he said "no"', "a < b & c", "xmin = 5", "")


def make(random: Random, folder: Path) -> None:
    """Write a transcript into an empty folder."""
    said = []
    for place in range(random.randint(1, 12)):
        start = 1000 * place + random.randint(0, 400)
        text = f"{random.choice(WORDS)} {place}"
        speaker = random.choice(("Ann", "Bob", "Zoë"))
        said.append(Predicted(start, start + 500, speaker, text, random.choice(("joy", "fear")), 0.5))
    suffix = random.choice((*writers(), ".srt", ".json"))
    if suffix == ".json":
        content = _whisper(random, said)
    elif suffix == ".srt":
        content = "\n\n".join(
            f"{number}\n00:{each.start_ms // 1000:02},{each.start_ms % 1000:03} --> 00:59,000\n{each.text}"
            for number, each in enumerate(said, 1)
        )
    else:
        content = writers()[suffix].write(Recording("talk", "talk.mp4", said, ["joy", "fear"], "x")).decode()
    (folder / f"talk{suffix}").write_bytes(
        content.encode() if random.random() < 0.1 else damage(random, content, TROUBLES)
    )


def _whisper(random: Random, said: list[Predicted]) -> str:
    segments = [
        {
            "start": each.start_ms / 1000,
            "end": random.choice((each.end_ms / 1000, None)),
            "text": each.text,
            "speaker": each.speaker,
            "words": [
                {"word": word, "start": each.start_ms / 1000, "speaker": random.choice(("A", "B"))}
                for word in each.text.split()
            ],
        }
        for each in said
    ]
    return json.dumps({"segments": segments}, ensure_ascii=False)


def attempt(folder: Path) -> str:
    """``read`` or ``refused``; an error where the transcript is treated in any other way."""
    (path,) = (path for path in folder.iterdir() if path.stem == "talk")
    labels = ("predicted@{speaker}",) if path.suffix in (".eaf", ".TextGrid") else ()
    wanted = Wanted(choice=Choice(("*",)), rule=Rule(labels))
    try:
        imported = import_transcripts([path], wanted, None)
        write_table(folder / "annotations.csv", imported, {row.dialogue: "test" for row in imported.rows}, {})
    except UserError as error:
        said = str(error)
        assert said == printable(said), said
        assert "please report this" not in said, said
        assert str(folder) in said or said.startswith("--") or "no utterance is left" in said, said
        return "refused"
    found = [row.utterance.text for row in read_table(folder)]
    assert found == [row.text for row in sorted(imported.rows, key=lambda row: row.number)]
    for what in imported.counts:
        printable(what).encode()
    return "read"
