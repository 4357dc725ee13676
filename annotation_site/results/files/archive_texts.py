"""Texts of a replication archive, from its parameters and its tables."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.exports.annotation_records import PREFIXES_FIELD, RECORD_FIELDS
from annotation_site.exports.markdown_format import escaped
from annotation_site.exports.table import Table
from annotation_site.results.files import product as own
from annotation_site.results.files.archive_annotations import SHOWS_PREFIXES
from annotation_site.results.files.archive_machines import FIELDS as MACHINE_FIELDS
from annotation_site.results.files.archive_methods import methods
from annotation_site.results.files.archive_proxies import FIELDS as PROXY_FIELDS
from annotation_site.results.files.left_out import left_out_of, left_out_words
from annotation_site.results.files.methods_machines import NO_RUNS, Runs
from annotation_site.results.files.references import bibliography

_README = """\
# {title}
{made_up}
This replication archive has the annotations of this study and every table computed from them.
{product} {version} wrote it (Python package `{package}`, measures version {measures_version},
archive format {archive_format}).

| | |
|---|---|
| `labels/labels.jsonl`, `labels/labels.parquet` | the same records twice: one per annotation |
| `labels/lists.csv` | the study's lists, also those without annotations |
| `labels/tokens.csv` | the tokens of these lists |
{prefixes}| `labels/skips.csv` | the lists that people skipped, or opened and did not submit |
| `labels/machines.csv` | the annotations of machine annotators |
{machine_runs}{proxies}| `labels/fields.md` | the meaning of each field of a record |
| `tables/` | each table as CSV and JSON |
| `figures/` | {figures} |
| `guidelines/` | every version of the guidelines; each record names its version |
| `restore/` | what a site needs beside this to restore the study |
| `parameters.json` | the study's rules, filters, fingerprints of weights, digests of bundles |
| `environment.json` | versions of the packages that computed the tables |
| `methods.md` | paragraphs for a paper, with the numbers filled in |
| `references.bib` | the works that `methods.md` cites |
| `checksums.sha256` | a checksum of every file |

People appear under codes that mean nothing outside this study{names}. Comments and descriptions are
as people wrote them; read them before you publish the archive.
{left_out}
This command recomputes every table and text from the labels, compares, and prints what it does not
check:

    python -m annotation_site.verify ARCHIVE.zip
"""


_PREFIXES = "| `labels/prefixes.csv` | the prefixes of these lists, which show no tokens |\n"
_PROXIES = (
    "| `labels/proxies.csv`, `labels/census.csv` | numbers that are known of every value vector |\n"
)
_MACHINE_RUNS = (
    "| `labels/machine_runs.csv`, `labels/machine_failures.csv` | the runs of language models, and "
    "the lists at which they failed |\n"
    "| `machine_prompts/` | the versions of the prompt that these read |\n"
)
_MADE_UP = (
    "Made-up annotations: a program wrote them, and no person judged a list. They show what the "
    "product does; report no number of them as a result."
)

ARCHIVE_FORMAT = 2
"""1 had neither `labels/skips.csv` nor `labels/tokens.csv`, and named no version of the product."""


def product() -> dict[str, Any]:
    """The key `product` of parameters.json: the program and versions that wrote the archive."""
    return {
        "name": own.NAME,
        "version": own.VERSION,
        "package": own.PACKAGE,
        "measures_version": MEASURES_VERSION,
        "archive_format": ARCHIVE_FORMAT,
    }


def texts(
    parameters: Mapping[str, Any],
    tables: Mapping[str, Table],
    *,
    files: Collection[str] = (),
    runs: Runs = NO_RUNS,
) -> dict[str, str]:
    """All texts of the archive by the name of their member; `files` are its tables of labels.

    `runs` are the rows of labels/machine_runs.csv by name.
    """
    said = methods_text(parameters, tables, runs)
    references = bibliography(said, version=parameters["product"]["version"])
    made_up = parameters["study"].get("made_up", False)
    return {
        "README.md": _readme(parameters, files),
        "methods.md": said,
        "references.bib": f"% {_MADE_UP}\n\n{references}" if made_up else references,
        "parameters.json": json_text(parameters),
        "labels/fields.md": fields_table(prefixes=_shows_prefixes(parameters))
        + (PROXY_FIELDS if "proxies" in files else "")
        + (MACHINE_FIELDS if "machine_runs" in files else ""),
    }


def methods_text(
    parameters: Mapping[str, Any], tables: Mapping[str, Table], runs: Runs = NO_RUNS
) -> str:
    """The text of methods.md, which begins with a warning where the annotations are made up."""
    said = methods(parameters, tables, runs)
    return f"{_MADE_UP}\n\n{said}" if parameters["study"].get("made_up", False) else said


def json_text(content: Mapping[str, Any]) -> str:
    """JSON in the archive's format."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n"


def _shows_prefixes(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters["study"].get("list_source") == SHOWS_PREFIXES)


def _readme(parameters: Mapping[str, Any], files: Collection[str]) -> str:
    wrote = parameters["product"]
    made_up = parameters["study"].get("made_up", False)
    return _README.format(
        prefixes=_PREFIXES if _shows_prefixes(parameters) else "",
        machine_runs=_MACHINE_RUNS if "machine_runs" in files else "",
        proxies=_PROXIES if "proxies" in files else "",
        made_up=f"\n**{_MADE_UP}**\n" if made_up else "",
        title=escaped(parameters["study"]["title"]),
        product=wrote["name"],
        version=wrote["version"],
        package=wrote["package"],
        measures_version=wrote["measures_version"],
        archive_format=wrote["archive_format"],
        figures="none were drawn"
        if parameters["figures"] is None
        else "the figures of the results page",
        left_out=f"\n{left_out}\n" if (left_out := left_out_words(left_out_of(parameters))) else "",
        names=", and with their user names, as requested" if parameters["with_names"] else "",
    )


def fields_table(*, prefixes: bool = False) -> str:
    """The documented fields of a record, as a Markdown table; docs/exports.md holds the same."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for field in (*RECORD_FIELDS, *([PREFIXES_FIELD] if prefixes else ())):
        can_be = " or missing" if field.nullable else ""
        lines.append(f"| `{field.name}` | {field.type}{can_be} | {field.meaning} |")
    return "\n".join(lines) + "\n"
