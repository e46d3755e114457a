"""``gendist predict``: label texts with an exported model."""

from pathlib import Path
from typing import Annotated

import typer

from gendist.cli.csv_options import Quoting, parse_delimiter
from gendist.cli.extras import require_extra


def predict(
    model: Annotated[Path, typer.Argument(help="Folder written by **gendist export**.")],
    file: Annotated[
        str, typer.Argument(help="A .csv, .tsv, .jsonl, .parquet or .txt file; - reads standard input.")
    ] = "-",
    out: Annotated[
        str, typer.Option("--out", "-o", help="A .csv, .tsv, .jsonl or .parquet file; - writes CSV to standard output.")
    ] = "-",
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="Text column; repeat to join several. Default: those of the training data."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8/--float32", help="Weights to use.")] = True,
    all_classes: Annotated[bool, typer.Option("--all", help="Write the probability of every class.")] = False,
    texts: Annotated[
        bool, typer.Option("--texts", help="Write the texts too, in the first text column of the training data.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Rows in memory at a time.")] = 4096,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of ONNX Runtime.")] = 1,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="Input column to copy to the output, such as an id; repeatable, or 'all'."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave the label empty if its probability is lower.")
    ] = 0.0,
    encoding: Annotated[
        str, typer.Option(help="Encoding of a text file; a byte-order mark takes precedence.")
    ] = "utf-8",
    delimiter: Annotated[str | None, typer.Option(help="Delimiter, such as ';' or '\\t'. Default: detected.")] = None,
    quoting: Annotated[
        Quoting, typer.Option(help="Whether quotes enclose fields (standard) or are ordinary characters (none).")
    ] = Quoting.auto,
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first line names the columns.", show_default=False),
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, tsv, jsonl, parquet or txt. Default: from the suffix.")
    ] = None,
) -> None:
    """Label texts with an exported model.

    Writes row (from 0), label and calibrated probability of every input row, in order. A missing text (null) gets no
    label; an empty text does.

    Example: `gendist predict model/ reviews.csv -o labels.csv`
    """
    require_extra("predict")
    from gendist.io.delimited_files import ReadOptions
    from gendist.predict.classifier import TextClassifier
    from gendist.predict.predict_file import predict_file
    from gendist.predict.text_reader import TextSource

    classifier = TextClassifier.load(model, int8=int8, threads=threads)
    reading = ReadOptions(encoding, parse_delimiter(delimiter), quoting.value, header)
    kept_columns = None if keep == ["all"] else keep or []
    source = TextSource(
        file,
        text or None,
        training_columns=classifier.text_columns,
        separator=classifier.separator,
        reading=reading,
        format=file_format,
        keep=kept_columns,
    )
    predict_file(classifier, source, out, all_classes=all_classes, chunk=batch, threshold=threshold, texts=texts)
