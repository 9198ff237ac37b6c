"""Who says what, with which emotion, in the demo corpus: the lines and the dialogues.

The lines of an emotion share its vocabulary ("scared", "furious", "disgusting"), so that a classifier
trained on the training split has something to generalise from.  Nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pipeline.errors import UserError
from pipeline.params import DemoParams

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Fault = Literal["two_faces", "no_face", "silent", "no_sound_track", "truncated", "missing"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

SPEAKERS = ("Alma", "Bruno", "Chen", "Dalia", "Emeka", "Freya")

# Of every clip; the sound's frames are the picture's.
FRAME_RATE_HZ = 25

# Neutral twice: it is MELD's most frequent emotion.  Any eight labels in a row hold all seven.
DEALT_EMOTIONS = ("joy", "anger", "surprise", "sadness", "fear", "disgust", "neutral", "neutral")

LINES: dict[str, tuple[str, ...]] = {
    "neutral": (
        "The meeting is at three on Tuesday.",
        "I put the keys on the kitchen table.",
        "We could take the bus to the office.",
        "She said she would call on Monday.",
        "The store closes at nine on weekdays.",
        "I think the meeting is in room four.",
        "You can leave the papers on the table.",
        "He usually takes the train to work.",
        "I have to pick up the mail at five.",
        "There is some coffee in the kitchen.",
        "Okay, I will send you the address.",
        "The bus leaves from the other side.",
        "My sister works at the bank now.",
        "We are meeting them at the café.",
        "So the number is on the second page.",
        "I usually read the paper at breakfast.",
        "They moved the office to Main Street.",
        "You said the train leaves at six.",
        "Okay, the list is on the desk.",
        "I will be at work until five.",
        "He put the mail on your desk.",
        "The address is on the first page.",
        "We usually have coffee at ten.",
        "She takes the papers to the bank.",
    ),
    "joy": (
        "I’m so happy for you two!",
        "This is the best day ever!",
        "We won! This is wonderful!",
        "Yay, I got the job! I’m so happy!",
        "Oh, I love it! It’s wonderful!",
        "That’s great news! I’m so glad!",
        "You look great! I love that dress!",
        "Congratulations! That’s fantastic!",
        "I love you guys! Best party ever!",
        "Yes! We’re having a wonderful time!",
        "Ha! That’s so funny, I love it!",
        "I’m so glad you’re here, this is great!",
        "Fantastic! You made me so happy!",
        "Yay! The best present ever, thank you!",
    ),
    "anger": (
        "Get out of my house right now!",
        "How dare you lie to me!",
        "I’m so mad at you! Stop it!",
        "Stop yelling at me, I’m furious!",
        "You lied to me! Get out!",
        "Shut up! This is all your fault!",
        "I’m furious! You ruined everything!",
        "How dare you touch my stuff!",
        "That’s it! I’m mad and I’m leaving!",
        "Stop it right now! I hate this!",
        "I hate you! You ruined my life!",
        "Don’t you dare yell at me!",
        "Shut up and get out of here!",
        "It’s your fault! You make me so mad!",
    ),
    "surprise": (
        "Oh my God! What are you doing here?",
        "Wow! I can’t believe it!",
        "What? You’re getting married?",
        "No way! Are you serious?",
        "Wait, what? When did this happen?",
        "Oh my God, you’re pregnant?",
        "Really? You’re serious? Wow!",
        "Whoa! Where did that come from?",
        "What? You quit? I can’t believe it!",
        "You did what? No way!",
        "Wow, I did not expect that!",
        "Are you serious? He said that?",
        "Whoa, wait! You know about this?",
        "Oh my God! Really? Since when?",
    ),
    "sadness": (
        "I miss him so much.",
        "I’m so sorry. She’s gone.",
        "I feel so alone tonight.",
        "He left me. It’s over.",
        "I just want to cry.",
        "I’m sorry. I lost it.",
        "She’s gone and I miss her.",
        "It breaks my heart.",
        "I’m so sad and alone.",
        "I lost my best friend.",
        "I can’t stop crying.",
        "It’s over. My heart is broken.",
        "I wish he never left.",
        "I’m so sorry he’s gone.",
    ),
    "fear": (
        "Please don’t leave me, I’m scared!",
        "What was that noise? I’m so scared!",
        "Help! There’s someone in the house!",
        "Be careful! It’s dangerous!",
        "I’m terrified of the dark!",
        "Oh no, please, he’s got a gun!",
        "Run! Somebody help us, please!",
        "I’m afraid he’s going to hurt us.",
        "I’m scared. Don’t open that door!",
        "Please be careful, I’m so afraid!",
        "Help me! I’m terrified of spiders!",
        "Oh no, it’s dark, and I’m afraid.",
        "That noise again! Run, it’s dangerous!",
        "I’m terrified! What if we die?",
    ),
    "disgust": (
        "Ew, that is so gross!",
        "Yuck, it smells disgusting.",
        "That’s nasty, don’t eat that.",
        "Ugh, this milk makes me sick.",
        "Ew, you’re eating from the trash?",
        "That is the nastiest smell ever.",
        "Yuck! There’s a hair in my soup.",
        "Ugh, what a gross, nasty kiss.",
        "It’s slimy. That’s disgusting.",
        "Ew, it stinks. I’m going to be sick.",
        "Ugh, his dirty feet stink.",
        "Gross! Get that dirty thing away.",
        "Yuck, it’s all slimy and smelly.",
        "That’s disgusting. It makes me sick.",
    ),
}


@dataclass(frozen=True)
class DemoUtterance:
    """One scripted utterance: everything that its clip is made from."""

    seed: int
    split: Split
    dialogue: int
    position: int
    speaker: str
    listener: str
    emotion: str
    text: str
    fault: Fault | None

    @property
    def clip_name(self) -> str:
        """MELD's name of the clip."""
        return f"dia{self.dialogue}_utt{self.position}.mp4"

    def dialogue_rng(self) -> np.random.Generator:
        """Chance that all clips of the dialogue share: the place where it is set."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), self.dialogue])

    def rng(self) -> np.random.Generator:
        """Chance of this clip alone."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), self.dialogue, self.position])


def fault_places(params: DemoParams) -> dict[tuple[int, int], Fault]:
    """Which training utterances (dialogue, utterance) go wrong, and how: spread evenly over the split.

    By default: (0, 4) two faces, (2, 2) no face, (4, 0) silent, (5, 4) no sound track,
    (7, 2) truncated, (9, 0) missing.  UserError where the split is too small to hold them all.
    """
    if not params.faults:
        return {}
    total = params.train_dialogues * params.utterances_per_dialogue
    if total < len(FAULTS):
        raise UserError(
            f"params.yaml: demo.faults needs at least {len(FAULTS)} training utterances, and "
            f"train_dialogues times utterances_per_dialogue is {total}: raise these, or set faults: false"
        )
    places = {}
    for k, fault in enumerate(FAULTS):
        middle_of_kth_sixth = (2 * k + 1) * total // (2 * len(FAULTS))
        places[divmod(middle_of_kth_sixth, params.utterances_per_dialogue)] = fault
    return places


def write_script(params: DemoParams) -> list[DemoUtterance]:
    """The whole corpus in order of split, dialogue and utterance, made from ``params`` alone.

    A split of at least seven utterances has all seven emotions.  A line comes again only when all
    lines of its emotion have been said.
    """
    rng = np.random.default_rng(params.seed)
    lines = {emotion: _endless(lines, rng) for emotion, lines in LINES.items()}
    faults = fault_places(params)
    sizes: dict[Split, int] = {
        "train": params.train_dialogues, "dev": params.dev_dialogues, "test": params.test_dialogues,
    }  # fmt: skip
    script = []
    for split in SPLITS:
        total = sizes[split] * params.utterances_per_dialogue
        dealt = [DEALT_EMOTIONS[n % len(DEALT_EMOTIONS)] for n in range(total)]
        emotions = iter([dealt[n] for n in rng.permutation(total)])
        for dialogue in range(sizes[split]):
            for position, (speaker, listener) in enumerate(_turns(params.utterances_per_dialogue, rng)):
                emotion = next(emotions)
                script.append(
                    DemoUtterance(
                        seed=params.seed,
                        split=split,
                        dialogue=dialogue,
                        position=position,
                        speaker=speaker,
                        listener=listener,
                        emotion=emotion,
                        text=next(lines[emotion]),
                        fault=faults.get((dialogue, position)) if split == "train" else None,
                    )
                )
    return script


def _endless(lines: tuple[str, ...], rng: np.random.Generator) -> Iterator[str]:
    """All lines in random order, and again when they are used up."""
    while True:
        for n in rng.permutation(len(lines)):
            yield lines[n]


def _turns(utterances: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """(speaker, listener) of each utterance of a dialogue between two to four people.

    The first turns go round, so that everybody speaks who can; then nobody answers himself too often.
    """
    people = rng.choice(len(SPEAKERS), size=min(int(rng.integers(2, 5)), utterances), replace=False)
    speaker = int(people[0])
    for position in range(utterances):
        if position < len(people):
            following = int(people[position])
        else:
            # As in MELD, a speaker sometimes goes on.
            others = [int(p) for p in people if p != speaker]
            following = speaker if rng.random() < 0.15 else int(rng.choice(others))
        listener = next(int(p) for p in np.roll(people, -position - 1) if p != following)
        speaker = following
        yield SPEAKERS[speaker], SPEAKERS[listener]
