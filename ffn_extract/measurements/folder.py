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
from ffn_extract.measurements.measurement import Cell, Figure, Measurement, Result

FORMAT, FORMAT_VERSION = "ffn-concepts-measurement", 1
NO_MATPLOTLIB = (
    "No figure was drawn: matplotlib is not installed. pip install matplotlib, and run this again "
    "in another folder; the tables hold what the figures show."
)
_STYLES = (
    ("#0072b2", "o", "-"), ("#d55e00", "s", "--"), ("#009e73", "^", "-."), ("#cc79a7", "D", ":"),
    ("#56b4e9", "v", "-"), ("#e69f00", "P", "--"),
)  # fmt: skip
"""Colours (Okabe and Ito's), markers and dashes: no need to tell colours apart."""


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
    figures = _drawn(result.figures, str(model["name"]))
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


def _drawn(figures: Sequence[Figure], name: str) -> dict[str, bytes]:
    """Each figure as SVG and PDF, without a time; nothing where matplotlib is not installed."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return {}
    files: dict[str, bytes] = {}
    for figure in figures:
        canvas = Canvas(figsize=(6.4, 3.6), layout="constrained")
        axes = canvas.add_subplot()
        for line, (colour, marker, dash) in zip(figure.lines, _STYLES, strict=False):
            if line.low is not None and line.high is not None:
                axes.fill_between(
                    line.layers, line.low, line.high, color=colour, alpha=0.15, linewidth=0
                )
            axes.plot(
                line.layers, line.values, color=colour, marker=marker, markersize=4,
                linestyle=dash, label=line.label,
            )  # fmt: skip
        axes.set_xlabel("layer (counted from 0)")
        axes.set_ylabel(figure.y_label)
        axes.set_title(f"{figure.title}\n{name}", fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#e4e3de")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        for form, without in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
            drawn = io.BytesIO()
            with mpl.rc_context({"svg.hashsalt": "ffn-concepts"}):
                canvas.savefig(drawn, format=form, metadata=without)
            files[f"{figure.name}.{form}"] = drawn.getvalue()
    return files


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
