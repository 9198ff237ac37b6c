"""``multiemo table``: all models side by side, as LaTeX for a paper or as CSV."""

from __future__ import annotations

import argparse

from pipeline.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo table``."""
    parser.description = (
        "Print the comparison of data/models/compare.html: a row for each model of params.yaml that is\n"
        "evaluated, its difference to the first of its corpus, and the rows that the paper prints.\n"
        "LaTeX is a tabular for each corpus, with the rules of the package booktabs."
    )
    parser.epilog = "example:\n  multiemo table --tex > table.tex"
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--tex", action="store_true", help="as LaTeX")
    form.add_argument("--csv", action="store_true", help="as CSV, with all figures")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pipeline.params import read_params  # these take a second, for which --help need not wait
    from pipeline.report.comparison import MODELS, read_groups
    from pipeline.report.tables import as_csv, as_latex

    groups = read_groups(read_params())
    if not groups:
        raise UserError(f"{MODELS}: no model of params.yaml is evaluated; run dvc repro")
    print(as_latex(groups) if arguments.tex else as_csv(groups), end="")
    return 0
