"""The texts of a replication archive. They follow from its parameters and its tables."""

import json
from collections.abc import Mapping
from typing import Any

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.exports.annotation_records import RECORD_FIELDS
from annotation_site.exports.markdown_format import escaped
from annotation_site.exports.table import Table
from annotation_site.results.files import product as own
from annotation_site.results.files.archive_methods import methods
from annotation_site.results.files.references import bibliography

_README = """\
# {title}

A replication archive, written by {product} {version} (Python package `{package}`, measures version
{measures_version}, archive format {archive_format}): the annotations of this study, and every table
that follows from them.

| | |
|---|---|
| `labels/labels.jsonl`, `labels/labels.parquet` | the same records twice: one per annotation |
| `labels/lists.csv` | the study's lists, also those that nobody has judged |
| `labels/tokens.csv` | the tokens of these lists |
| `labels/skips.csv` | the lists that people skipped, or opened and did not submit |
| `labels/machines.csv` | the annotations of machine annotators, a lower reference |
| `labels/fields.md` | what each field of a record means |
| `tables/` | each table as CSV and as JSON |
| `figures/` | {figures} |
| `guidelines/` | every version of what annotators read; records name theirs |
| `parameters.json` | the study's rules, the choices of the tables, digests of weights and bundles |
| `environment.json` | versions of the packages that computed the tables |
| `methods.md` | paragraphs for a paper, with the numbers filled in |
| `references.bib` | the works that `methods.md` cites |
| `checksums.sha256` | a checksum of every file |

People appear under codes that mean nothing outside this study{names}. Comments and descriptions are
their own words; read them before you publish the archive.

To compute every table and text again from the labels, compare, and read what is not checked:

    python -m annotation_site.verify ARCHIVE.zip
"""


ARCHIVE_FORMAT = 2
"""1 had neither `labels/skips.csv` nor `labels/tokens.csv`, and named no version of the product."""


def product() -> dict[str, Any]:
    """`product` of parameters.json: what wrote the archive, with which measures."""
    return {
        "name": own.NAME,
        "version": own.VERSION,
        "package": own.PACKAGE,
        "measures_version": MEASURES_VERSION,
        "archive_format": ARCHIVE_FORMAT,
    }


def texts(parameters: Mapping[str, Any], tables: Mapping[str, Table]) -> dict[str, str]:
    """Every text that follows from parameters and tables, by the name of the member."""
    said = methods(parameters, tables)
    return {
        "README.md": _readme(parameters),
        "methods.md": said,
        "references.bib": bibliography(said, version=parameters["product"]["version"]),
        "parameters.json": json_text(parameters),
        "labels/fields.md": fields_table(),
    }


def json_text(content: Mapping[str, Any]) -> str:
    """JSON as the archive holds it."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n"


def _readme(parameters: Mapping[str, Any]) -> str:
    wrote = parameters["product"]
    return _README.format(
        title=escaped(parameters["study"]["title"]),
        product=wrote["name"],
        version=wrote["version"],
        package=wrote["package"],
        measures_version=wrote["measures_version"],
        archive_format=wrote["archive_format"],
        figures="none had been drawn"
        if parameters["figures"] is None
        else "the figures of the results page",
        names=", and with their user names, as was asked for" if parameters["with_names"] else "",
    )


def fields_table() -> str:
    """The documented fields of a record, as a Markdown table; docs/exports.md holds the same."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for field in RECORD_FIELDS:
        can_be = " or missing" if field.nullable else ""
        lines.append(f"| `{field.name}` | {field.type}{can_be} | {field.meaning} |")
    return "\n".join(lines) + "\n"
