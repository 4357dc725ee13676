"""The folder of a measurement: manifest, examples, draws, tables, figures, README."""

import hashlib
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffn_extract.bundle.manifest import MANIFEST_FILE, canonical_json, digest_of
from ffn_extract.errors import BundleError, OptionError, reason_of
from ffn_extract.measurements.drawing import files_of
from ffn_extract.measurements.measurement import Cell, Measurement, Result

FORMAT, FORMAT_VERSION = "ffn-concepts-measurement", 1
NO_MATPLOTLIB = (
    "No figure was drawn: matplotlib is not installed. pip install matplotlib, and run this again "
    "in another folder; the tables hold what the figures show."
)


@dataclass(frozen=True)
class Measured:
    """A measurement's folder as written."""

    folder: Path
    result: Result
    digest: str
    has_figures: bool


def require_new(out: Path) -> None:
    """Refuse a folder that has something in it. Raises OptionError."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OptionError(f"{out} is not empty. Give another folder with --out.")


def write_folder(
    out: Path,
    measurement: Measurement,
    result: Result,
    *,
    model: Mapping[str, Any],
    parameters: Mapping[str, Any],
    environment: Mapping[str, Any],
    counts: Mapping[str, Any],
    more: Mapping[str, bytes],
) -> Measured:
    """Write everything beside `out` and then give it that name, so that it is whole or not there.

    `more` are further content files. Raises BundleError when it cannot be written.
    """
    content = dict(more)
    for table in result.tables:
        content[f"{table.name}.csv"] = table.to_csv().encode()
        content[f"{table.name}.parquet"] = parquet_of(table.columns, table.rows)
    figures = files_of(result.figures, str(model["name"]))
    entries = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "measurement": measurement.name,
        "model": dict(model),
        "parameters": {**parameters, **result.thresholds},
        "counts": dict(counts),
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(content.items())
        },
    }
    digest = digest_of(entries)
    manifest = {
        **entries,
        "digest": digest,
        "environment": dict(environment),
        "environment_digest": digest_of(dict(environment)),
    }
    files = {**content, **figures, MANIFEST_FILE: canonical_json(manifest)}
    files["README.md"] = _readme(measurement, result, entries, bool(figures)).encode()
    part = out.with_name(f".{out.name}.new")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, data in files.items():
            (part / name).write_bytes(data)
        if out.exists():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise BundleError(f"Cannot write to {out}: {reason_of(error)}.") from error
    return Measured(out, result, digest, bool(figures))


def parquet_of(columns: Sequence[str], rows: Sequence[tuple[Cell | list[int], ...]]) -> bytes:
    """A table as Parquet, with the same bytes for the same rows and version of pyarrow."""
    arrays = [pa.array([row[i] for row in rows]) for i in range(len(columns))]
    file = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, names=list(columns)),
        file,
        row_group_size=100_000,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
    )
    return file.getvalue()


def reading_notes(parameters: Mapping[str, Any]) -> list[str]:
    """A sentence for each option that changes how the model is read."""
    notes = []
    if parameters.get("without_norm"):
        notes.append(
            "x and x̃ were read without the final norm (--without-norm), so w, the top token of the "
            "last layer, need not be the token that the model predicts."
        )
    if (precision := parameters.get("precision", "float32")) != "float32":
        notes.append(
            f"The model ran with weights in {precision}; x̃ and o were subtracted, and scores "
            "computed, in float32 after conversion."
        )
    if parameters.get("split_sentences"):
        notes.append("Each text of the corpus was split into sentences (--split-sentences).")
    return notes


def _readme(
    measurement: Measurement, result: Result, entries: Mapping[str, Any], drawn: bool
) -> str:
    """Definition, source and result in words, and what each file holds."""
    lines = [f"# {measurement.title}: {entries['model']['name']}", "", *result.words, ""]
    if notes := reading_notes(entries["parameters"]):
        lines += [*notes, ""]
    lines += ["## Definition", "", measurement.definition, "", f"Source: {measurement.source}", ""]
    lines += ["## Files", ""]
    for table, columns in measurement.columns.items():
        lines += [f"`{table}.csv`, the same in `{table}.parquet`:", "", "| column | holds |"]
        lines += ["|---|---|", *(f"| {name} | {text} |" for name, text in columns.items()), ""]
    if drawn:
        lines += [f"`{f.name}.svg` and `{f.name}.pdf`: {f.title}." for f in result.figures] + [""]
    if "examples.jsonl" in entries["files"]:
        lines += [
            "`examples.jsonl`: text, ids up to the position read, position (counted from 0), and "
            "the token after it (`gold`).",
            "",
        ]
    if "draws.parquet" in entries["files"]:
        lines += ["`draws.parquet`: the random vectors of each example and layer.", ""]
    lines += ["`manifest.json`: the model, every parameter, and digests.", ""]
    return "\n".join(lines)
