"""Names keep to docs/glossary.md: none says a word that the glossary has another term for."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver

from annotation_site.exports.annotation_records import PATTERN_FIELDS, RECORD_FIELDS
from annotation_site.results.files import adjudicated_export, archive_annotations
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import TableRequest
from tests.annotation_site.analysis.hand_worked import hand_worked_labels

ROOT = Path(__file__).resolve().parent.parent
WHOLE_CONTENT = "it is over whole content, not over samples of tensors"
OF_A_PATTERN = "a pattern's description"
LIST_IN_A_STUDY = "code may say item for a list in a study"
BUNDLE_FORMAT = "the key's name in bundles of version 1, which these are of or were made for"
A_COMPUTER = "a computer"
IN_PROSE = "annotations as data, in prose"
OF_MACHINE_ANNOTATORS = "short for machine annotators, in a name of a table"

# Each name that may stand although the glossary has another term, and why.
ALLOWED = {
    "column": {
        "accounts.Invitation.token_digest": WHOLE_CONTENT,
        "accounts.ApiToken.digest": WHOLE_CONTENT,
        "accounts.RequestKey.digest": WHOLE_CONTENT,
        "corpus.LanguageModel.weights_digest": BUNDLE_FORMAT,
        "corpus.Extraction.bundle_digest": WHOLE_CONTENT,
        "corpus.Corpus.digest": WHOLE_CONTENT,
        "measurements.Measurement.digest": WHOLE_CONTENT,
        "proxies.KnownOfModel.weights_digest": BUNDLE_FORMAT,
        "annotation.Study.items": LIST_IN_A_STUDY,
        "annotation.Study.machine_runs": "runs of machine annotators; as short as proxy_runs",
        "annotation.Assignment.item": LIST_IN_A_STUDY,
        "annotation.ListLook.item": LIST_IN_A_STUDY,
        "annotation.Pattern.description": OF_A_PATTERN,
    },
    "field": {
        "Model.weights_digest": BUNDLE_FORMAT,
        "Whole.bundle_digest": WHOLE_CONTENT,
        "Corpus.digest": WHOLE_CONTENT,
        "MeasurementWhole.digest": WHOLE_CONTENT,
        "PatternFields.description": OF_A_PATTERN,
        "FoundVector.descriptions": OF_A_PATTERN,
        "SaidPattern.description": OF_A_PATTERN,
        "MarkedPatternFields.description": OF_A_PATTERN,
        "ProxyFields.description": "what a proxy is, in a sentence",
        "item": LIST_IN_A_STUDY,
        "Annotation.item": LIST_IN_A_STUDY,
        "AssignmentFields.item": LIST_IN_A_STUDY,
    },
    "address": {
        "/api/studies/{slug}/items": LIST_IN_A_STUDY,
        "/api/studies/{slug}/items/{item}/adjudicate": LIST_IN_A_STUDY,
    },
    "table": {
        "machine_coverage": OF_MACHINE_ANNOTATORS,
        "machine_agreement": OF_MACHINE_ANNOTATORS,
    },
    "table column": {
        "records.weights_digest": BUNDLE_FORMAT,
        "records.bundle_digest": WHOLE_CONTENT,
        "records.patterns.description": OF_A_PATTERN,
        "machines.description": OF_A_PATTERN,
        "lists.bundle_digest": WHOLE_CONTENT,
        "tokens.bundle_digest": WHOLE_CONTENT,
        "adjudicated.bundle_digest": WHOLE_CONTENT,
        "people.concepts": "the number of qualifying patterns, by the paper's word",
    },
    "heading": {
        "deploying.md: On one machine, without containers": A_COMPUTER,
        "deploying.md: Many machines for one model": A_COMPUTER,
        "exports.md: Which file for which program": "a program that opens files",
        "exports.md: Labels": IN_PROSE,
        "exports.md: Reading labels back": IN_PROSE,
        "exports.md: `data/machine_annotations.parquet`": "the annotations of machine annotators",
        "listed.html: Which concepts made this prediction?": "the paper's word, in prose",
        "trace.html: Which concepts made this prediction?": "the paper's word, in prose",
        "start.html: Find the concepts in a language model’s layers": "the paper's word, in prose",
    },
}


# Terms, or names that METHOD gives to measures with the paper's word, which hold such a word.
TERMS = (
    "machine annotator", "random baseline", "ffn concepts", "stopwords concept",
    "concepts per list", "in a concept", "agreement concept", "alpha concept",
)  # fmt: skip


@cache
def other_words() -> tuple[str, ...]:
    """The last column of the glossary: words for which it has another term."""
    found: list[str] = []
    for line in (ROOT / "docs/glossary.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| term |"):
            cell = line.strip("|").split("|")[-1]
            words = re.sub(r"\([^)]*\)", "", cell).split(", except ")[0]
            found += filter(None, (word.strip() for word in words.split(",")))
    return tuple(found)


def said(name: str) -> set[str]:
    """Which of the other words a name says, whatever its spelling."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    plain = " ".join(re.findall(r"[a-z]+", spaced.lower()))
    for term in TERMS:
        plain = plain.replace(term, "")
    return {word for word in other_words() if re.search(rf"\b{word}(e?s|ed)?\b", plain)}


@cache
def all_names() -> tuple[tuple[str, str, str], ...]:
    return tuple(names())


def names() -> Iterator[tuple[str, str, str]]:
    """What a name is of, where it stands, and the name itself."""
    for model in apps.get_models():
        if model.__module__.startswith("annotation_site."):
            for field in model._meta.get_fields():
                yield "column", f"{model._meta.label}.{field.name}", field.name
    yield from names_of_the_api()
    yield from ((what, name, name) for what, name in addresses(get_resolver()))
    for name in TABLES:
        yield "table", name, name
    for table, column in columns():
        yield "table column", f"{table}.{column}", column
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for heading in re.findall(r"^#+ (.+)$", text, re.M):
            yield "heading", f"{page.name}: {heading}", heading
    for page in sorted((ROOT / "annotation_site/templates").rglob("*.html")):
        for inside in re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", page.read_text(), re.S):
            # Names of variables are no words of the page.
            text = re.sub(r"{{.*?}}|<[^>]*>", " ", inside)
            text = re.sub(r'{% translate "(.*?)".*?%}', r"\1", text)
            text = re.sub(r"{%.*?%}", " ", text)
            yield "heading", f"{page.name}: {' '.join(text.split())}", text


def names_of_the_api() -> Iterator[tuple[str, str, str]]:
    api = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text())
    for schema, content in api["components"]["schemas"].items():
        yield "schema", schema, schema
        for name in content.get("properties", ()):
            yield "field", f"{schema}.{name}", name
    for path, calls in api["paths"].items():
        yield "address", path, path
        for call in calls.values():
            for parameter in call.get("parameters", ()):
                yield "field", parameter["name"], parameter["name"]
                for value in parameter["schema"].get("enum", ()):
                    yield "field", f"{parameter['name']}={value}", str(value)


def addresses(resolver: URLResolver) -> Iterator[tuple[str, str]]:
    """Of pages: their parts between slashes, and the names that code calls them by."""
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            if "api" not in str(one.pattern):  # described by the schema
                yield from addresses(one)
        elif isinstance(one, URLPattern) and "annotation_site" in one.lookup_str:
            yield "address", re.sub(r"<\w+:(\w+)>", r"{\1}", str(one.pattern))
            yield "address", one.name or ""


def columns() -> Iterator[tuple[str, str]]:
    for field in RECORD_FIELDS:
        yield "records", field.name
    for field in PATTERN_FIELDS:
        yield "records", f"patterns.{field.name}"
    for table, found in (
        ("lists", archive_annotations.LIST_COLUMNS),
        ("tokens", archive_annotations.TOKEN_COLUMNS),
        ("machines", archive_annotations.MACHINE_COLUMNS),
        ("skips", archive_annotations.SKIP_COLUMNS),
        ("adjudicated", adjudicated_export.COLUMNS),
    ):
        yield from ((table, column.name) for column in found)
    labels = hand_worked_labels(third_person=True)
    request = TableRequest(labels, ["semantic", "syntactic", "names"], 4, resamples=0)
    for table, compute in TABLES.items():
        yield from ((table, str(column)) for column in compute(request).columns)


def test_the_glossary_is_read() -> None:
    assert {"answer", "label", "place", "gold", "card", "concept", "sign of life"} < {
        *other_words()
    }


@pytest.mark.parametrize("what", sorted(ALLOWED))
def test_names_keep_to_the_glossary(what: str) -> None:
    told = {where: said(name) for kind, where, name in all_names() if kind == what}
    assert len(told) > 10
    found = {where: words for where, words in told.items() if words}
    assert set(found) <= set(ALLOWED[what]), found
    # Headings come and go with what is written; a name that has gone takes its reason with it.
    assert what == "heading" or set(found) == set(ALLOWED[what])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("final_answers", {"final answer", "answer"}),
        ("SaidAnswer", {"answer"}),
        ("labels", {"label"}),
        ("replace", set()),
        ("machine_annotators", set()),
        ("concepts_per_list", set()),
        ("of_machines", {"machine"}),
        ("Sign of life", {"sign of life"}),
    ],
)
def test_a_word_is_found_in_any_spelling(name: str, words: set[str]) -> None:
    assert said(name) == words
