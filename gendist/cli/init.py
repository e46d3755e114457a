"""``gendist init``: create a study from a file of labelled texts."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gendist.cli.csv_options import Quoting
from gendist.cli.extras import require_extra
from gendist.errors import GendistError

if TYPE_CHECKING:
    from gendist.cli.own_data.column_guess import Column
    from gendist.cli.own_data.input_table import ColumnRoles, InputTable
    from gendist.cli.own_data.prepare_rows import PreparedRows


def init(
    data: Annotated[Path, typer.Argument(help="Labelled texts: .csv, .tsv, .jsonl or .parquet.")],
    text: Annotated[list[str] | None, typer.Option(help="Text column; repeat to join several.")] = None,
    label: Annotated[str | None, typer.Option(help="Label column.")] = None,
    test: Annotated[Path | None, typer.Option(help="File of test rows. Default: split from the data.")] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="File of unlabelled texts with the same text columns.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset. Default: the file name.")] = None,
    out: Annotated[Path | None, typer.Option(help="Config to write. Default: NAME.yaml.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of the files, such as utf-8 or cp1252. Default: detected.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter, such as ';' or '\\t'. Default: detected.")] = None,
    quoting: Annotated[
        Quoting, typer.Option(help="Whether quotes enclose fields (standard) or are ordinary characters (none).")
    ] = Quoting.auto,
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first line names the columns.", show_default=False),
    ] = None,
    merge_case: Annotated[
        bool, typer.Option("--merge-case", help="Merge labels that differ only in case or spaces, or as 1 and 1.0.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not prompt.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of an earlier init.")] = False,
) -> None:
    """Check a file of labelled texts, split off test rows, and write the config of a study.

    Example: `gendist init reviews.csv`. The file is not modified.
    """
    require_extra("study")
    from gendist.cli.own_data.config_template import dataset_name_from, is_dataset_name
    from gendist.cli.own_data.input_table import check_columns, read_table
    from gendist.cli.own_data.prepare_rows import count_unlabelled, prepare_rows
    from gendist.cli.own_data.unlabelled_rows import MIN_UNLABELLED
    from gendist.cli.own_data.write_study import output_paths, require_writable, write_study
    from gendist.config.dataset_settings import Dataset
    from gendist.io.delimited_files import ReadOptions, parse_delimiter
    from gendist.io.regular_files import require_separate_test_file

    if encoding is not None:
        try:
            Dataset(train="a", test="b", encoding=encoding)
        except ValueError:
            raise GendistError(f"--encoding '{encoding}' is unknown; accepted: utf-8, utf-16, cp1252, …") from None
    reading = ReadOptions(encoding or "utf-8", parse_delimiter(delimiter), quoting.value, header)
    dataset = dataset_name_from(out or data) if name is None else name
    if not is_dataset_name(dataset):
        raise GendistError(
            f"--name '{dataset}' is not accepted: use letters, digits, '_' and '-', up to 64; it must not be "
            "the name of a device (con, nul, …) or of a folder of the results (tables, figures, …)"
        )
    if out is not None and out.suffix not in (".yaml", ".yml"):
        raise GendistError(f"--out '{out}' is not accepted: expected a .yaml file, such as {dataset}.yaml")
    paths = output_paths(out or Path(f"{dataset}.yaml"), dataset)
    named = [*(text or []), *([label] if label is not None else [])]
    table = read_table(data, reading, encoding is None, named)
    # All files are read with the header setting of the training file.
    same_reading = replace(reading, header=table.source.reading.header)
    test_table = read_table(test, same_reading, encoding is None, named) if test else None
    unlabelled_table = read_table(unlabelled, same_reading, encoding is None, text or []) if unlabelled else None
    require_writable(paths, [file for file in (data, test, unlabelled) if file], force)
    if test:
        require_separate_test_file(test, data, " (--test)", "labelled")
    interactive = not yes and is_interactive()
    _confirm_reading(table, interactive)
    roles = _choose_columns(table, text or [], label, interactive)
    if test_table:
        check_columns(test_table, [*roles.text, roles.label])
    if unlabelled_table:
        check_columns(unlabelled_table, roles.text)
    count = count_unlabelled(table, roles)
    use_empty_labels = count >= MIN_UNLABELLED
    if use_empty_labels and interactive:
        use_empty_labels = typer.confirm(
            f"{count:,} rows have a text but no label. Learn from them as unlabelled rows?", default=True
        )
    prepared = prepare_rows(
        table, roles, test_table, unlabelled_table=unlabelled_table, use_empty_labels=use_empty_labels, merge=merge_case
    )
    time = write_study(table, test_table=test_table, roles=roles, prepared=prepared, paths=paths, name=dataset)
    _print_summary(prepared)
    written = [paths.config, *([] if prepared.use_original_files else [paths.train, paths.test])]
    written += [paths.unlabelled] if prepared.unlabelled else []
    typer.echo(f"\nWritten: {', '.join(map(str, written))}")
    typer.echo(f"\nNext, {time} with two cores:\n\n    gendist run {paths.config}\n")


def is_interactive() -> bool:
    """Whether a user at a terminal can answer questions."""
    return sys.stdin.isatty()


def _confirm_reading(table: "InputTable", interactive: bool) -> None:
    """Print notes on the detected format and ask a user at a terminal to confirm it."""
    for note in table.source.notes:
        typer.echo(f"note: {table.path}: {note}")
    if interactive and table.source.notes and not typer.confirm("Is the format correct?", default=True):
        raise GendistError(f"{table.path}: set the format with --quoting, --delimiter, --header or --no-header")


def _choose_columns(table: "InputTable", text: list[str], label: str | None, interactive: bool) -> "ColumnRoles":
    """Return the given columns; guess missing ones, and ask a user at a terminal to confirm the guess."""
    from gendist.cli.own_data.column_guess import ambiguous_column, guess_label, guess_text, make_columns
    from gendist.cli.own_data.input_table import ColumnRoles, check_columns

    check_columns(table, [*text, *([label] if label is not None else [])])
    twice = [name for name in table.source.duplicate_columns if name.strip()]
    if twice and not (text and label):
        raise GendistError(
            f"{table.path}: column '{twice[0]}' occurs twice in the header; rename one, or "
            "choose other columns with --text and --label"
        )
    columns = make_columns(table.source.columns)
    by_name = {column.name: column for column in columns}
    encoding = "" if table.path.suffix == ".parquet" else f", {table.encoding}"
    typer.echo(f"{table.path}: {len(table.source.numbers):,} rows, {len(columns)} columns{encoding}")
    texts, guessed = list(text), [f"--{role}" for role, given in (("text", text), ("label", label)) if not given]
    if not texts:
        guess = guess_text([c for c in columns if c.name != label])
        if not guess.is_clear and not (interactive and columns):
            raise ambiguous_column(str(table.path), "text", guess, columns)
        texts = _prompt_for_columns("text", guess.columns[:1], columns) if interactive else [guess.columns[0].name]
    if label is None:
        guess = guess_label([c for c in columns if c.name not in texts])
        if not guess.is_clear and not interactive:
            raise ambiguous_column(str(table.path), "label", guess, columns)
        label = _prompt_for_columns("label", guess.columns[:1], columns)[0] if interactive else guess.columns[0].name
    check_columns(table, [*texts, label])
    if label in texts:
        raise GendistError(f"{table.path}: column '{label}' cannot be both text and label")
    for name in texts:
        typer.echo(f"text:  column '{name}', {_format_examples(by_name[name])}")
    typer.echo(f"label: column '{label}', {_format_classes(by_name[label])}")
    if not interactive and guessed:
        typer.echo(f"(guessed; use {' and '.join(guessed)} to choose others)")
    return ColumnRoles(texts, label)


def _prompt_for_columns(role: str, guesses: "list[Column]", columns: "list[Column]") -> list[str]:
    """Prompt for the columns of a role; Enter accepts the guess."""
    names = [column.name for column in columns]
    typer.echo(f"\nWhich column is the {role}? " + ("Separate several with commas." if role == "text" else ""))
    for number, column in enumerate(columns, 1):
        description = _format_classes(column) if column.looks_like_label else _format_examples(column)
        typer.echo(f"  {number}. {column.name!r}: {description}")
    default = str(names.index(guesses[0].name) + 1) if guesses else None
    while True:
        answer = typer.prompt("Number or name", default=default)
        matches = [_match_column(word.strip(), names) for word in (answer.split(",") if role == "text" else [answer])]
        if all(one is not None for one in matches):
            return [one for one in matches if one is not None]
        typer.echo(f"'{answer}' is not a column.")


def _match_column(word: str, names: list[str]) -> str | None:
    if word in names:
        return word
    return names[int(word) - 1] if word.isdecimal() and 1 <= int(word) <= len(names) else None


def _format_examples(column: "Column") -> str:
    from gendist.io.escape import shorten

    listed = ", ".join(f"'{shorten(cell, 60)}'" for cell in column.cells[:2])
    return f"for example {listed}" if listed else "empty"


def _format_classes(column: "Column") -> str:
    from gendist.io.escape import shorten

    counts = Counter(column.cells).most_common()
    listed = ", ".join(f"{shorten(name, 30)} ({count:,})" for name, count in counts[:6])
    return f"{len(counts)} classes: {listed}" + (", …" if len(counts) > 6 else "")


def _print_summary(prepared: "PreparedRows") -> None:
    for line in prepared.warnings:
        typer.echo(f"note: {line}")
    for what, rows in (("training", prepared.train), ("test", prepared.test)):
        counts = rows.counts
        span = f"{min(counts.values()):,} to {max(counts.values()):,} per class"
        typer.echo(f"{what}: {len(rows):,} rows, {len(counts)} classes, {span}")
    if prepared.unlabelled:
        typer.echo(f"unlabelled: {len(prepared.unlabelled):,} rows")
