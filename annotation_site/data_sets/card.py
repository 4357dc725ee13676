"""README.md of a data set: the card that the Hugging Face hub reads, with its YAML header."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.annotation_frames import KIND_NAMES
from annotation_site.data_sets.citation import bibtex
from annotation_site.data_sets.columns import ANNOTATIONS, columns_markdown
from annotation_site.data_sets.facts import MADE_UP, Facts
from annotation_site.data_sets.tables import tables_of
from annotation_site.data_sets.yaml_text import yaml_of
from annotation_site.exports.markdown_format import escaped
from annotation_site.results.files.left_out import left_out_words

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)  # fmt: skip
"""The hub's words for a number of rows below a bound."""
SHOWN = (
    "percent_agreement_concept", "krippendorff_alpha_concept", "krippendorff_alpha_masi",
    "mean_matched_jaccard", "pattern_f1",
)  # fmt: skip
"""The measures of agreement on the card; archive.zip has all of them."""


def card(facts: Facts) -> str:
    """The content of README.md."""
    parts = [f"---\n{header(facts)}---\n", *_body(facts)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def header(facts: Facts) -> str:
    """The YAML header: what the hub searches by, and which files are which configuration."""
    creators = "machine-generated" if facts.is_made_up else "other"
    if facts.is_crowd and not facts.is_made_up:
        creators = "crowdsourced"
    also = ["machine-generated"] if facts.machines and not facts.is_made_up else []
    return yaml_of(
        {
            "pretty_name": facts.title,
            "annotations_creators": [creators, *also],
            "language_creators": ["machine-generated" if not facts.has_prefixes else "found"],
            "language": ["en"],
            "license": facts.options.licence,
            "size_categories": [size_words(facts.rows[ANNOTATIONS.name])],
            "task_categories": ["token-classification"],
            "tags": [*facts.keywords, "croissant"],
            "configs": [
                {
                    "config_name": table.name,
                    **({"default": True} if table is ANNOTATIONS else {}),
                    "data_files": [{"split": "train", "path": table.path}],
                }
                for table in tables_of(facts.rows)
            ],
        }
    )


def size_words(rows: int) -> str:
    """The hub's words for a number of rows."""
    return next((words for most, words in SIZES if rows < most), "10M<n<100M")


def _body(facts: Facts) -> Iterator[str]:
    yield f"# {escaped(facts.title)}\n"
    if facts.is_made_up:
        yield f"**{MADE_UP}**\n"
    yield _named(facts, facts.description.removeprefix(MADE_UP).strip())
    yield (
        f"{facts.software} wrote this folder. `archive.zip` is the study's replication archive: "
        "everything else here is made from it."
    )
    yield "## Tables\n"
    for table in tables_of(facts.rows):
        rows = facts.rows[table.name]
        yield f"### `{table.name}`: {rows:,} rows\n"
        yield f"{table.title[0].upper()}{table.title[1:]}.\n"
        yield columns_markdown(table, facts.source.chosen)
    yield (
        "Each element of `patterns` has `number`, `description`, `category`, `stopwords`, `ranks`, "
        "`entries` and `counts`."
    )
    yield from _people(facts)
    yield from _results(facts)
    yield from _rights(facts)
    yield from _use(facts)


def _people(facts: Facts) -> Iterator[str]:
    yield "## Who annotated\n"
    yield facts.who
    yield "## How they annotated\n"
    yield facts.protocol
    yield _instructed(facts)
    yield "`METHODS.md` describes the study with its numbers, `references.bib` what it cites."
    if facts.machines:
        yield "## Machine annotators\n"
        yield (
            "The annotations in `machine_annotations` are those of programs and language models, "
            "not of people. No table of people's results rests on them."
        )
        yield "\n".join(f"- `{name}`{_run_words(facts, name)}" for name in facts.machines)
    yield "## Consent\n"
    yield facts.consent
    yield "## Personal and sensitive information\n"
    yield facts.sensitive
    if said := left_out_words(facts.options.left_out):
        yield f"In `archive.zip`: {said}"
    yield "## Biases and limits\n"
    yield "\n".join(f"- {_named(facts, one)}" for one in facts.limits)


def _run_words(facts: Facts, name: str) -> str:
    """Model, version and failures of a language model, where the archive has its run."""
    for row in facts.machine_runs:
        if row.get("name") == name:
            told = {key: escaped(value) for key, value in row.items()}
            said = f": the language model {told['model']}"
            if told.get("model_version"):
                said += f" ({told['model_version']})"
            if told.get("versions_differ") == "1":
                said += "; later replies named another version"
            if told.get("failed"):
                said += (
                    f", {told['failed']} of {told['lists']} lists without a readable reply, or any"
                )
            return f"{said}, temperature {told['temperature']}"
    return ": a program"


def _instructed(facts: Facts) -> str:
    counts: Mapping[str, int] = facts.counts["guidelines"]
    used = "; ".join(
        f"version {version}, with {annotations:,} annotations"
        for version, annotations in sorted(counts.items(), key=lambda one: int(one[0]))
    )
    glosses = "They saw glosses of tokens. " if facts.rules["show_glosses"] else ""
    if facts.has_prefixes:
        glosses = ""
    return (
        f"{glosses}They were instructed by the guidelines in `guidelines/`: {used or 'none'}. "
        "Every annotation names its version."
    )


def _results(facts: Facts) -> Iterator[str]:
    yield "## Agreement\n"
    rows = [row for row in facts.source.table("agreement") if row["measure"] in SHOWN]
    rows = [row for row in rows if row["value"] is not None]
    if rows:
        yield (
            "Over lists with annotations by at least two people, with 95% intervals that are "
            "conditional on these annotators:"
        )
        yield _table(
            ("model", "measure", "value", "95% interval", "lists"),
            [
                (_model(row), _measure(row["measure"]), _decimal(row["value"]), _interval(row),
                 f"{row['lists']:,}")
                for row in rows
            ],
        )  # fmt: skip
    else:
        yield "No list has annotations by two people, so there is no agreement to report."
    yield "## Coverage\n"
    rows = [
        row
        for row in facts.source.table("coverage_intervals")
        if row["measure"] == "coverage" and row["layer"] is None
    ]
    yield (
        f"Coverage is the share of a list's {facts.entries} in patterns that count and are not "
        "flagged as stopwords, averaged over each list's annotators and then over lists:"
    )
    yield _table(
        ("model", "lists of", "coverage", "95% interval", "lists"),
        [
            (_model(row), _kind(row["kind"]), _decimal(row["value"]),
             _interval(row), f"{row['lists']:,}")
            for row in rows
        ],
    )  # fmt: skip


def _rights(facts: Facts) -> Iterator[str]:
    terms = facts.options.terms
    yield "## Licence\n"
    yield (
        f"The researchers share the annotations under [{terms.title}]({terms.url}) "
        f"(`{facts.options.licence}`)."
    )
    yield (
        "Tokens come from the vocabulary of a language model, and prefixes from a corpus; their "
        "own licences stay as they are. Glosses from WordNet are under Princeton University's "
        "licence of WordNet, which asks that its copyright notice is kept: WordNet, Copyright "
        "Princeton University. The licence of the software that wrote the folder does not extend "
        "to what it writes."
    )
    yield "## Citation\n"
    yield "`CITATION.cff` says how to cite the data set:"
    yield f"```bibtex\n{bibtex(facts)}```"


def _use(facts: Facts) -> Iterator[str]:
    tables = tables_of(facts.rows)
    yield "## Load it\n"
    yield (
        "```python\nfrom datasets import load_dataset\n\n"
        f'annotations = load_dataset("FOLDER", "{ANNOTATIONS.name}", split="train")\n```'
    )
    names = ", ".join(f"`{table.name}`" for table in tables)
    yield f"The configurations are {names}. Without datasets:"
    yield (
        "```python\nimport pandas as pd\n\n"
        f'annotations = pd.read_parquet("FOLDER/{ANNOTATIONS.path}")\n```'
    )
    yield f'```r\nannotations <- arrow::read_parquet("FOLDER/{ANNOTATIONS.path}")\n```'
    yield "## Verify and restore it\n"
    yield (
        "```\nsha256sum -c checksums.sha256\n"
        "python -m annotation_site.verify archive.zip\n"
        "python manage.py restore_study archive.zip --researcher USER\n```"
    )
    yield (
        "The second command recomputes every table from the annotations, the third makes the study "
        "again in an installation of FFN Concepts."
    )
    yield "## Share it\n"
    yield ("Nothing was uploaded. This command uploads the folder to the Hugging Face hub:")
    yield "```\nhf upload OWNER/NAME . --repo-type dataset\n```"


def _model(row: Mapping[str, Any]) -> str:
    return str(row["model"] or "all models together")


def _kind(name: str) -> str:
    return KIND_NAMES.get(name, name)


def _measure(name: str) -> str:
    return AGREEMENT_MEASURES[name].title if name in AGREEMENT_MEASURES else name


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return "none"
    return f"{_decimal(row['low'])} to {_decimal(row['high'])}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _named(facts: Facts, text: str) -> str:
    """A text with the names of models as they are, whatever Markdown would make of them."""
    longest = sorted(facts.models, key=lambda name: (-len(name), name))
    # All at once, since one name can be a part of another.
    return re.sub("|".join(map(re.escape, longest)), lambda found: escaped(found[0]), text)
