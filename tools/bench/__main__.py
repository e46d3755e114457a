"""``python -m tools.bench``: time this package against alternatives and print a table."""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.bench.timed_pairs import Case

GROUPS = (
    "generation",
    "pocket_finetuning",
    "scoring",
    "training",
    "inference",
    "many_seeds",
    "large_generation",
    "finetuning",
)
"""Modules of this package with a function ``cases``, which may raise ``SkippedError``."""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description="Compare speeds, with one thread each, and on a GPU if available.",
    )
    top.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"benchmarks to run, of {', '.join(GROUPS)} (default: all)"
    )
    top.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="timed runs of each pair (default: %(default)s)"
    )
    top.add_argument("--out", type=Path, default=Path("results/bench"), metavar="DIR", help="default: %(default)s")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return exit status 1 if a benchmark or a correctness check failed."""
    top = parser()
    args = top.parse_args(arguments)
    if unknown := [name for name in args.groups if name not in GROUPS]:
        top.error(f"unknown group '{unknown[0]}'; accepted: {', '.join(GROUPS)}")
    if args.rounds < 1:
        top.error("--rounds must be at least 1")
    if args.out.exists() and not args.out.is_dir():
        top.error(f"--out {args.out} is not a folder")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.getLogger("transformers").setLevel(logging.ERROR)
    from tools.bench.bench_table import markdown, write_outcomes
    from tools.bench.timed_pairs import SkippedError, run_case

    outcomes, failed_groups = [], False
    for group in args.groups or GROUPS:
        try:
            for case in _cases(group)():
                print(f"{case.name}, against {case.baseline} ...", file=sys.stderr, flush=True)
                outcomes.append(run_case(case, args.rounds))
                # Written after every case, because a later one may fail or be killed.
                print(markdown(outcomes[-1:]).splitlines()[-1], flush=True)
                write_outcomes(outcomes, args.out)
        except SkippedError as reason:
            print(f"{group} skipped: {reason}", file=sys.stderr, flush=True)
        except Exception as error:  # continue with the other groups
            failed_groups = True
            traceback.print_exc()
            print(f"error: {group} failed: {one_line(error)}", file=sys.stderr, flush=True)
    if not outcomes:
        return int(failed_groups)
    print(markdown(outcomes), flush=True)
    print(f"Also in {args.out}/: bench.parquet, bench.md, bench.svg, bench.png")
    failed = [(outcome.case, check) for outcome in outcomes for check in outcome.case.checks if not check.passed]
    for case, check in failed:
        found = f"{check.what} {check.value:.3g}, limit {check.limit:g}"
        print(f"error: check failed: {case.name}, against {case.baseline}: {found}", file=sys.stderr)
    return int(bool(failed) or failed_groups)


def one_line(error: Exception) -> str:
    """Return an error's type and the first line of its message."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _cases(group: str) -> "Callable[[], list[Case]]":
    found: Callable[[], list[Case]] = import_module(f"tools.bench.{group}").cases
    return found


if __name__ == "__main__":
    sys.exit(main())
