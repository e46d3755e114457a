"""``gendist init``: make a study of a file of labelled texts."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gendist.cli.csv_options import Quoting, parse_delimiter
from gendist.cli.extras import require_extra
from gendist.errors import GendistError

if TYPE_CHECKING:
    from gendist.cli.own_data.column_guess import Column
    from gendist.cli.own_data.prepare_study import ColumnRoles, InputTable, PreparedRows


def init(
    data: Annotated[Path, typer.Argument(help="Labelled texts: .csv, .tsv, .jsonl or .parquet.")],
    text: Annotated[list[str] | None, typer.Option(help="Column of the texts; repeat it to join several.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    test: Annotated[Path | None, typer.Option(help="File of test rows; without it, some rows are set aside.")] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="File of further texts without labels, with the same text columns.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; without it, that of the file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Config to write; without it, NAME.yaml.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of the files, such as utf-8 or cp1252; without it, it is recognised.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Between columns, such as ';' or '\\t'; without it, it is recognised.")
    ] = None,
    quoting: Annotated[
        Quoting, typer.Option(help="Whether quotes enclose fields (standard) or are letters (none).")
    ] = Quoting.auto,
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first line names the columns.", show_default=False),
    ] = None,
    merge_case: Annotated[
        bool, typer.Option("--merge-case", help="Merge labels that differ in case or spaces alone, or as 1 and 1.0.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of an earlier init.")] = False,
) -> None:
    """Look at a file of labelled texts, set test rows aside, and write the config of a study.

    Example: `gendist init reviews.csv`. The file itself is not changed.
    """
    require_extra("study")
    from gendist.cli.own_data.config_template import dataset_name_from, is_dataset_name
    from gendist.cli.own_data.prepare_study import (
        count_unlabelled,
        output_paths,
        prepare_rows,
        read_table,
        require_columns,
        require_writable,
        write_study,
    )
    from gendist.cli.own_data.unlabelled_rows import MIN_UNLABELLED
    from gendist.config.dataset import Dataset
    from gendist.io.delimited import Reading

    if encoding is not None:
        try:
            Dataset(train="a", test="b", encoding=encoding)
        except ValueError:
            raise GendistError(f"--encoding '{encoding}' is not known; accepted: utf-8, utf-16, cp1252, …") from None
    reading = Reading(encoding or "utf-8", parse_delimiter(delimiter), quoting.value, header)
    chosen = dataset_name_from(out or data) if name is None else name
    if not is_dataset_name(chosen):
        raise GendistError(
            f"--name '{chosen}' is not accepted: use letters, digits, '_' and '-', up to 64; it must not be "
            "the name of a device (con, nul, …) or of a folder of the results (tables, figures, …)"
        )
    places = output_paths(out or Path(f"{chosen}.yaml"), chosen)
    named = [*(text or []), *([label] if label is not None else [])]
    table = read_table(data, reading, encoding is None, named)
    # Other rows go with the training rows: their header too.
    alike = replace(reading, header=table.source.reading.header)
    given = read_table(test, alike, encoding is None, named) if test else None
    further = read_table(unlabelled, alike, encoding is None, text or []) if unlabelled else None
    require_writable(places, [file for file in (data, test, unlabelled) if file], force)
    asking = not yes and _at_terminal()
    _note_reading(table, asking)
    roles = _roles(table, text or [], label, asking)
    if given:
        require_columns(given, [*roles.text, roles.label])
    if further:
        require_columns(further, roles.text)
    count = count_unlabelled(table, roles)
    take = count >= MIN_UNLABELLED
    if take and asking:
        take = typer.confirm(
            f"{count:,} rows have a text but no label. Learn from them as unlabelled rows?", default=True
        )
    prepared = prepare_rows(table, roles, given, further=further, take_unlabelled=take, merge=merge_case)
    time = write_study(table, given, roles, prepared, places, chosen)
    _tell(prepared)
    written = [places.config, *([] if prepared.clean else [places.train, places.test])]
    written += [places.unlabelled] if prepared.unlabelled else []
    typer.echo(f"\nWritten: {', '.join(map(str, written))}")
    typer.echo(f"\nNext, {time} with two cores:\n\n    gendist run {places.config}\n")


def _at_terminal() -> bool:
    return sys.stdin.isatty()


def _note_reading(table: "InputTable", asking: bool) -> None:
    """Say what is remarkable of how the file was read, and let a person at a terminal object."""
    for note in table.source.notes:
        typer.echo(f"note: {table.path}: {note}")
    if asking and table.source.notes and not typer.confirm("Is the file read as it is meant?", default=True):
        raise GendistError(f"{table.path}: say how to read it with --quoting, --delimiter, --header or --no-header")


def _roles(table: "InputTable", text: list[str], label: str | None, asking: bool) -> "ColumnRoles":
    """Take the columns that are named, guess the others, and let a person at a terminal correct the guess."""
    from gendist.cli.own_data.column_guess import ambiguous_column, guess_label, guess_text, make_columns
    from gendist.cli.own_data.prepare_study import ColumnRoles, require_columns

    require_columns(table, [*text, *([label] if label is not None else [])])
    twice = [name for name in table.source.twice if name.strip()]
    if twice and not (text and label):
        raise GendistError(
            f"{table.path}: column '{twice[0]}' stands twice in the header; rename one of the two, or "
            "name other columns with --text and --label"
        )
    columns = make_columns(table.source.columns)
    by_name = {column.name: column for column in columns}
    encoding = "" if table.path.suffix == ".parquet" else f", {table.encoding}"
    typer.echo(f"{table.path}: {len(table.source.rows):,} rows, {len(columns)} columns{encoding}")
    texts = list(text)
    if not texts:
        guess = guess_text([c for c in columns if c.name != label])
        if not guess.clear and not (asking and columns):
            raise ambiguous_column(str(table.path), "text", guess, columns)
        texts = _confirmed("text", guess.columns[:1], columns) if asking else [guess.columns[0].name]
    if label is None:
        guess = guess_label([c for c in columns if c.name not in texts])
        if not guess.clear and not asking:
            raise ambiguous_column(str(table.path), "label", guess, columns)
        label = _confirmed("label", guess.columns[:1], columns)[0] if asking else guess.columns[0].name
    require_columns(table, [*texts, label])
    if label in texts:
        raise GendistError(f"{table.path}: column '{label}' cannot hold both the texts and the labels")
    for place in texts:
        typer.echo(f"text:  column '{place}', {_examples(by_name[place])}")
    typer.echo(f"label: column '{label}', {_classes(by_name[label])}")
    if not asking and not (text and label):
        typer.echo("(assumed; --text and --label name others)")
    return ColumnRoles(texts, label)


def _confirmed(role: str, guessed: "list[Column]", columns: "list[Column]") -> list[str]:
    """Ask which column has a role; Enter takes the guess."""
    names = [column.name for column in columns]
    typer.echo(f"\nWhich column holds the {role}? " + ("Several: separate them with commas." if role == "text" else ""))
    for number, column in enumerate(columns, 1):
        about = _classes(column) if column.may_be_label else _examples(column)
        typer.echo(f"  {number}. {column.name!r}: {about}")
    default = str(names.index(guessed[0].name) + 1) if guessed else None
    while True:
        answer = typer.prompt("Number or name", default=default)
        picked = [_named(word.strip(), names) for word in (answer.split(",") if role == "text" else [answer])]
        if all(one is not None for one in picked):
            return [one for one in picked if one is not None]
        typer.echo(f"'{answer}' is none of them.")


def _named(word: str, names: list[str]) -> str | None:
    if word in names:
        return word
    return names[int(word) - 1] if word.isdecimal() and 1 <= int(word) <= len(names) else None


def _examples(column: "Column") -> str:
    from gendist.io.escape import shorten

    shown = ", ".join(f"'{shorten(cell, 60)}'" for cell in column.cells[:2])
    return f"for example {shown}" if shown else "empty"


def _classes(column: "Column") -> str:
    from gendist.io.escape import shorten

    counts = Counter(column.cells).most_common()
    shown = ", ".join(f"{shorten(name, 30)} ({count:,})" for name, count in counts[:6])
    return f"{len(counts)} classes: {shown}" + (", …" if len(counts) > 6 else "")


def _tell(prepared: "PreparedRows") -> None:
    for line in prepared.warnings:
        typer.echo(f"note: {line}")
    for what, rows in (("training", prepared.train), ("test", prepared.test)):
        counts = rows.counts
        span = f"{min(counts.values()):,} to {max(counts.values()):,} per class"
        typer.echo(f"{what}: {len(rows):,} rows, {len(counts)} classes, {span}")
    if prepared.unlabelled:
        typer.echo(f"unlabelled: {len(prepared.unlabelled):,} rows")
