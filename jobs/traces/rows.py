"""Rows of trace files: CSV, JSON lines, Avro object containers, Parquet; the first two gzipped or not.

A row is a dictionary and the line (or record number) it starts at. What cannot even become a row is a reject.
A missing or empty cell is None.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

CELL_BYTES_MAX = 1 << 20  #: of one CSV cell: an unclosed quote must not swallow the file


@dataclass(frozen=True)
class Reject:
    """A row that did not become an event: where, and why."""

    line: int
    column: str
    reason: str


class Row(NamedTuple):
    """One row; `line` is where it begins, for binary formats the number of the record."""

    line: int
    cells: Mapping[str, Any]


class TraceError(ValueError):
    """A file that cannot be read at all; the message says why."""


def format_of(path: Path) -> str:
    """Tell the format by the name.

    Raises: TraceError.
    """
    name = path.name.lower().removesuffix(".gz")
    for ending, kind in ((".csv", "csv"), (".jsonl", "jsonl"), (".ndjson", "jsonl"), (".avro", "avro"),
                         (".parquet", "parquet")):  # fmt: skip
        if name.endswith(ending):
            return kind
    raise TraceError(f"{path}: expected .csv, .jsonl (each also .gz), .avro or .parquet")


def read_rows(path: Path, columns: Sequence[str] = (), fewest: int = 0) -> Iterator[Row | Reject]:
    """Read a file row by row.

    `columns` names a CSV's columns where its header is wrong or short; rows may then have `fewest` or more.
    Raises: TraceError.
    """
    kind = format_of(path)
    try:
        if kind == "csv":
            yield from _csv(path, columns, fewest)
        elif kind == "jsonl":
            yield from _jsonl(path)
        else:
            yield from _avro(path) if kind == "avro" else _parquet(path)
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: {error}") from error


def _open(path: Path) -> io.TextIOWrapper:
    """Open text; bytes that are no UTF-8 come through as escapes, and fail where a number is expected."""
    raw: Any = gzip.GzipFile(path) if path.name.lower().endswith(".gz") else path.open("rb")
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="backslashreplace", newline="")


def _csv(path: Path, columns: Sequence[str], fewest: int) -> Iterator[Row | Reject]:
    csv.field_size_limit(CELL_BYTES_MAX)
    with _open(path) as text:
        reader = csv.reader(text)
        header = next(reader, None)
        if header is None:
            raise TraceError(f"{path}: empty; a CSV begins with the names of its columns")
        names = list(columns) or header
        least = fewest or len(names)
        while True:
            line = reader.line_num + 1  # a row may go on over line breaks in quotes
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Reject(line, "", f"not CSV: {error}")
                continue
            if cells is None:
                return
            if not cells:
                continue  # an empty line is no row
            if not least <= len(cells) <= len(names):
                expected = str(least) if least == len(names) else f"{least} to {len(names)}"
                yield Reject(line, "", f"{len(cells)} columns instead of {expected}")
                continue
            yield Row(line, {name: cell or None for name, cell in zip(names, cells, strict=False)})


def _jsonl(path: Path) -> Iterator[Row | Reject]:
    with _open(path) as text:
        for line, content in enumerate(text, 1):
            if not content.strip():
                continue
            try:
                cells = json.loads(content)
            except (ValueError, RecursionError) as error:
                yield Reject(line, "", f"not JSON: {error}")
                continue
            if isinstance(cells, dict):
                yield Row(line, cells)
            else:
                yield Reject(line, "", f"expected an object, found {type(cells).__name__}")


def _avro(path: Path) -> Iterator[Row | Reject]:
    import fastavro

    number = 0
    with path.open("rb") as data:
        try:
            for number, record in enumerate(fastavro.reader(data), 1):
                if isinstance(record, dict):
                    yield Row(number, record)
                else:
                    yield Reject(number, "", f"expected a record, found {type(record).__name__}")
        except (ValueError, IndexError, EOFError) as error:
            if not number:
                raise TraceError(f"{path}: not an Avro object container: {error}") from error
            yield Reject(number + 1, "", f"the rest of the file cannot be read: {error}")


def _parquet(path: Path) -> Iterator[Row | Reject]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise TraceError("Parquet needs pyarrow: pip install 'burnline[parquet]'") from error
    number = 0
    try:
        for batch in ParquetFile(path).iter_batches():
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, cells)
    except ArrowException as error:
        raise TraceError(f"{path}: {error}") from error
