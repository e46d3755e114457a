"""The command that labels texts: ``gendist predict``, and ``gendist-predict`` of the light distribution."""

import argparse
import os
import sys
from collections.abc import Sequence

from gendist import __version__
from gendist.errors import DEBUG_VARIABLE, GendistError, describe_unexpected
from gendist.io.delimited_files import ReadOptions, parse_delimiter
from gendist.predict.classifier import TextClassifier
from gendist.predict.predict_file import predict_file
from gendist.predict.text_source import TextSource

DESCRIPTION = """Label texts with an exported model.

Writes row (from 0), label and calibrated probability of every input row, in order. A missing text (null) gets no label;
an empty text does."""


def command_parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the command's arguments; ``program`` is its name in messages."""
    parser = argparse.ArgumentParser(
        program,
        description=DESCRIPTION,
        epilog=f"Example: {program} model/ reviews.csv -o labels.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder written by gendist export")
    add("file", metavar="FILE", nargs="?", default="-", help="a .csv, .tsv, .jsonl, .parquet or .txt file; - (the "
        "default) reads standard input")  # fmt: skip
    add("--out", "-o", default="-", metavar="FILE", help="a .csv, .tsv, .jsonl or .parquet file; - (the default) "
        "writes CSV to standard output")  # fmt: skip
    add("--text", action="append", metavar="COLUMN", help="text column; repeat to join several; default: those of the "
        "training data")  # fmt: skip
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--int8", action="store_true", help="use the int8 weights (default)")
    weights.add_argument("--float32", action="store_true", help="use the float32 weights; needs ONNX Runtime")
    add("--all", action="store_true", help="write the probability of every class")
    add("--texts", action="store_true", help="write the texts too, in the first text column of the training data")
    add("--batch", type=_at_least_one, default=4096, metavar="N", help="rows in memory at a time; default 4096")
    add("--threads", type=_at_least_one, default=1, metavar="N", help="CPU threads of ONNX Runtime; default 1")
    add("--keep", action="append", metavar="COLUMN", help="input column to copy to the output, such as an id; "
        "repeatable, or 'all'")  # fmt: skip
    add("--threshold", type=_probability, default=0.0, metavar="P", help="leave the label empty if its probability is "
        "lower")  # fmt: skip
    add("--encoding", default="utf-8", help="encoding of a text file; a byte-order mark takes precedence")
    add("--delimiter", metavar="CHARACTER", help="delimiter, such as ';' or '\\t'; default: detected")
    add("--quoting", choices=("auto", "standard", "none"), default="auto", help="whether quotes enclose fields "
        "(standard) or are ordinary characters (none)")  # fmt: skip
    add("--header", action=argparse.BooleanOptionalAction, help="whether the first line names the columns")
    add("--format", metavar="FORMAT", help="csv, tsv, jsonl, parquet or txt; default: from the suffix")
    return parser


def run_command(arguments: Sequence[str], program: str) -> None:
    """Label the rows of a file.

    Raises:
        GendistError: if the model, the input or an option is not accepted.
        SystemExit: for unknown options, with status 2, and after ``--help``.
    """
    parser = command_parser(program)
    # Intermixed: FILE may follow the options.
    options = parser.parse_intermixed_args(arguments)
    classifier = TextClassifier.load(options.model, int8=not options.float32, threads=options.threads)
    reading = ReadOptions(options.encoding, parse_delimiter(options.delimiter), options.quoting, options.header)
    if options.text and len(set(options.text)) < len(options.text):
        raise GendistError(f"--text repeats a column: {', '.join(options.text)}")
    source = TextSource(
        options.file,
        options.text,
        training_columns=classifier.text_columns,
        separator=classifier.separator,
        reading=reading,
        format=options.format,
        keep=None if "all" in (options.keep or []) else options.keep or [],
    )
    predict_file(
        classifier,
        source,
        options.out,
        all_classes=options.all,
        chunk=options.batch,
        threshold=options.threshold,
        texts=options.texts,
    )


def main() -> None:
    """Run ``gendist-predict``. Errors print one line and exit with status 1."""
    if sys.argv[1:] == ["--version"]:
        print(f"gendist-predict {__version__}")
        return
    try:
        run_command(sys.argv[1:], "gendist-predict")
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.exit(f"error: {error if isinstance(error, GendistError) else describe_unexpected(error)}")


def _at_least_one(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not accepted: expected 1 or more")
    return number


def _probability(value: str) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not accepted: expected a number from 0 to 1")
    return number
