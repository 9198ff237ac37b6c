"""Files called params.yaml that are damaged, hostile, or hold what only YAML can hold.

Each must be taken, or refused in a few printable lines that name the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from benchmarks.fuzz.mutation import PIECES, damage
from pipeline.console.pin import write_pins
from pipeline.errors import UserError, printable
from pipeline.params import Params, read_params
from pipeline.store.code import PROJECT
from stages.code import check_for_dvc, check_inputs, check_kinds

VALUES = (
    *("!!int x", "!!float x", "!!bool x", "!!null x", "!!binary 1"),
    *("!!timestamp x", "!!set {a, b}", "!x y", "! 1"),
    *("!!python/object/apply:os.system [id]", "!!omap [a: 1]"),
    *("!!pairs [a: 1]", "!!str 1", "!!map []", "!!seq {}"),
    *("2026-01-02", "2026-99-99", "2026-01-02 03:04:05.5 +99:99"),
    *("1:30", "0o17", "0b1", "1_0", ".inf", "-.nan"),
    *("9" * 60, "9" * 5000, "-" + "9" * 400, "0x" + "f" * 63),
    *("1e400", "1e-400", "+1", "0", "-0.0", "1.", ".5"),
    *("~", "''", '"\\0"', '"\\e[2J"', '"\\ud800"', '"\\U00110000"'),
    *('"\\x"', "|\n  a\n  b\n", ">-\n a\n\n b", "<<", "="),
    *("*a", "&a 1", "&a [*a]", "[]", "{}", "[[]]", "{a: {a: {}}}"),
    *("[1, 2]", "on", "yes", "@", "`", "%", "? a"),
    *(
        "a/" * 2000 + "b",
        "x" * 300,
        "x" * 5000,
        "~/x",
        ".",
        "..",
        "../..",
        "-",
        "data",
        "data/raw",
        "é",
        "人",
    ),
)
KEYS = (
    *("1", "1.5", "true", "~", "''", "[a, b]", "{a: b}", "2026-01-02"),
    *("<<", "? a", "*a", "&a b", "!!int 1", "=", "'a\\b'"),
    *("x" * 200, "x" * 2000, '"\\0"', '"\\e[2J"', "kind"),
    *("corpora", "models", "demo", "defaults", "a b", "é", ".."),
)


def _bomb(random: Random) -> str:
    """A short text that stands for much, or takes long to read if it is read as it comes."""
    count = random.choice((10, 100, 1_000, 30_000, 200_000))
    few = random.randint(2, 12)
    return random.choice(
        (
            lambda: "".join(f"k{place}: {place}\n" for place in range(count)),
            lambda: "models: {" + ", ".join(f"m{place}: {{features: f}}" for place in range(count)) + "}",
            lambda: "models: {" + ", ".join(f"m{place}: {{featurs: f}}" for place in range(count)) + "}",
            lambda: random.choice("[{") * count,
            lambda: (
                "a: " + random.choice(("- ", "? ", "[[", "{a: ", "&a ", "!!str ", "'", "%", "x ")) * count
            ),
            lambda: "- " * min(count, 300) + "x",
            lambda: "\n".join(
                [
                    "a0: &a0 [1, 1]",
                    *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * few)}]" for n in range(1, 40)),
                ]
            ),
            lambda: "\n".join(
                [
                    "a0: &a0 {k: 1}",
                    *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * few)}]}}" for n in range(1, 40)),
                ]
            ),
            lambda: "\n".join(
                ["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, min(count, 5000)))]
            ),
            lambda: "models: {a: {features: f, seeds: [" + "1, " * count + "]}}",
            lambda: "models:\n  a:\n    features: " + "x" * count,
            lambda: "models:\n  " + "x" * count + ": {features: f}",
            lambda: "#\n" * count,
            lambda: "---\n" * count,
            lambda: " " * count + "a: b",
        )
    )()


def _bases() -> list[str]:
    own = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    examples = re.sub(r"^  #   ", "    ", own, flags=re.MULTILINE)
    examples = re.sub(r"^  # (meld|iemocap)(\w*:)", r"  \1\2", examples, flags=re.MULTILINE)
    bare = "\n".join(line for line in own.splitlines() if not line.lstrip().startswith("#"))
    return [own, bare, bare, examples, "models:\n  theirs: {features: data/x/features.h5}\n"]


BASES = _bases()


def make(random: Random, folder: Path) -> None:
    """Write a params.yaml into an empty folder."""
    if random.random() < 0.2:
        content = _bomb(random).encode()
    else:
        text = random.choice(BASES)
        for _ in range(random.randint(0, 3)):
            pattern, others = random.choice(
                ((r"(?<=: )[^\s{}\[\],#]+", VALUES), (r"(?<=: )[^\n#]+", VALUES), (r"[\w-]+(?=:)", KEYS))
            )
            found = list(re.finditer(pattern, text))
            if found:
                chosen = random.choice(found)
                text = text[: chosen.start()] + random.choice(others) + text[chosen.end() :]
        content = damage(random, text, PIECES + VALUES) if random.random() < 0.5 else text.encode()
    (folder / "params.yaml").write_bytes(content)


def attempt(folder: Path) -> str:
    """``read`` or ``refused``; an error where the file is treated in any other way."""
    path = folder / "params.yaml"
    try:
        params = read_params(path)
        assert isinstance(params, Params)
        check_kinds(params)
        check_inputs(params)
        check_for_dvc(params)
        write_pins(path, {})
    except UserError as error:
        said = str(error)
        assert said == printable(said), said
        assert "params.yaml: " in said, said
        return "refused"
    return "read"
