"""croissant.json: Croissant 1.1 metadata with fields of its RAI vocabulary 1.0.

Specifications: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotation_site.data_sets.citation import bibtex
from annotation_site.data_sets.columns import PATTERN_COLUMNS, DataColumn, DataTable
from annotation_site.data_sets.facts import Facts
from annotation_site.data_sets.tables import tables_of

CONFORMS_TO = [
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/RAI/1.0",
]
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {
    "string": "sc:Text",
    "int32": "cr:Int32",
    "float64": "cr:Float64",
    "bool": "sc:Boolean",
    "timestamp": "sc:DateTime",
    "list<int32>": "cr:Int32",
    "list<string>": "sc:Text",
}
_MEDIA_TYPES = {
    ".parquet": "application/x-parquet",
    ".zip": "application/zip",
    ".md": "text/markdown",
    ".bib": "application/x-bibtex",
}


def croissant_file(folder: Path, facts: Facts) -> str:
    """The content of croissant.json, of the other files that are in the folder by now."""
    found = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": facts.name,
        "description": facts.description,
        "alternateName": facts.title,
        "conformsTo": CONFORMS_TO,
        "license": facts.options.terms.url,
        # Authors that the researcher names are people; without any, the study's researchers are one
        # group.
        "creator": [
            {"@type": "sc:Person" if facts.options.authors else "sc:Organization", "name": author}
            for author in facts.authors
        ],
        "datePublished": facts.options.day.isoformat(),
        "version": facts.version,
        "inLanguage": "en",
        "keywords": facts.keywords,
        "citeAs": bibtex(facts),
        "isLiveDataset": False,
        **{f"rai:{name}": value for name, value in rai_fields(facts).items()},
        "distribution": list(_files(folder)),
        "recordSet": [_record_set(table, facts) for table in tables_of(facts.rows)],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def rai_fields(facts: Facts) -> dict[str, Any]:
    """Fields of the RAI vocabulary that are true of the data set."""
    rules, counts = facts.rules, facts.counts
    found: dict[str, Any] = {
        "dataCollection": (
            f"Lists of {facts.entries} of {', '.join(facts.models)}, of the kinds "
            f"{', '.join(rules['kinds'])}: up to {rules['lists_per_layer']:,} of each kind and "
            f"layer, drawn at random with the seed {rules['seed']}."
        ),
        "dataCollectionType": "Others",
        "dataAnnotationProtocol": facts.protocol,
        "dataAnnotationPlatform": facts.software,
        "dataAnnotationAnalysis": (
            "Tables of agreement with intervals are in archive.zip, and README.md has the main "
            "ones. Disagreement is kept: every annotation is a row of its own."
        ),
        "annotationsPerItem": f"{rules['annotators_per_list']} annotations per list were asked for",
        "annotatorDemographics": facts.who,
        "personalSensitiveInformation": facts.sensitive,
        "dataBiases": facts.limits,
        "dataLimitations": facts.limits,
        "dataUseCases": (
            "Research on what people recognise in lists of tokens or prefixes of feed-forward "
            "layers, on agreement between annotators, and as a reference for automatic "
            "descriptions. Not for judging the people who annotated."
        ),
        "dataReleaseMaintenancePlan": (
            "The study is closed. A later version has a higher number and replaces this one."
        ),
    }
    if counts["skipped"]:
        found["dataCollectionMissingData"] = (
            f"Lists that people skipped: {counts['skipped']:,}; with reasons in archive.zip."
        )
    if facts.machines:
        found["machineAnnotationTools"] = facts.machines
    return found


def _files(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": _MEDIA_TYPES.get(path.suffix, "text/plain"),
            "sha256": digest,
        }


def _record_set(table: DataTable, facts: Facts) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"{table.title[0].upper()}{table.title[1:]}.",
        "field": [_field(table, column) for column in table.columns_with(facts.source.chosen)],
    }


def _field(table: DataTable, column: DataColumn) -> dict[str, Any]:
    about = _about(f"{table.name}/{column.name}", column)
    if column.type != "patterns":
        return about | {"source": _source(table, column.name)}
    return {
        **about,
        **_ARRAY,
        "subField": [
            _about(f"{table.name}/{column.name}/{one.name}", one)
            | {
                "source": {
                    **_source(table, column.name),
                    "transform": {"jsonPath": f"$.{one.name}"},
                }
            }
            for one in PATTERN_COLUMNS
        ],
    }


_ARRAY = {"isArray": True, "arrayShape": "-1"}


def _about(identifier: str, column: DataColumn) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": identifier,
        "name": column.name,
        "description": column.meaning,
    }
    if column.type in _TYPES:
        found["dataType"] = _TYPES[column.type]
    return found | (_ARRAY if column.type.startswith("list") else {})


def _source(table: DataTable, column: str) -> dict[str, Any]:
    return {"fileObject": {"@id": table.path}, "extract": {"column": column}}
