"""The texts of a replication archive: what it is, what a paper can say, whom to cite."""

from collections.abc import Iterable, Mapping
from typing import Any

from annotation_site.exports.labels import LABEL_FIELDS
from annotation_site.exports.markdown_format import escaped
from annotation_site.exports.table import Table

BIBTEX = """\
@inproceedings{geva-etal-2022-transformer,
  title     = {Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the
               Vocabulary Space},
  author    = {Geva, Mor and Caciularu, Avi and Wang, Kevin and Goldberg, Yoav},
  booktitle = {Proceedings of the 2022 Conference on Empirical Methods in Natural Language
               Processing},
  year      = {2022},
  pages     = {30--45},
  publisher = {Association for Computational Linguistics},
  doi       = {10.18653/v1/2022.emnlp-main.3},
}

@software{ffn-concepts,
  title   = {{FFN Concepts}: labels for the concepts that feed-forward layers promote},
  author  = {{The contributors of FFN Concepts}},
  license = {Apache-2.0},
}
"""

_README = """\
# {title}

A replication archive of FFN Concepts: what people answered in this study, and every table that
follows from it.

| | |
|---|---|
| `labels/labels.jsonl`, `labels/labels.parquet` | a record per submitted answer, twice |
| `labels/lists.csv` | the study's lists, also those nobody has judged |
| `labels/machines.csv` | what programs said to them, a lower reference |
| `labels/fields.md` | what each field of a record means |
| `tables/` | each table as CSV and as JSON |
| `figures/` | {figures} |
| `guidelines/` | every version of what annotators read; records name theirs |
| `parameters.json` | the study's rules, the choices of the tables, digests of weights and bundles |
| `environment.json` | versions of the packages that computed the tables |
| `methods.md` | a paragraph for a paper, with the numbers filled in |
| `references.bib` | whom to cite |
| `checksums.sha256` | a checksum of every file |

People appear under codes that mean nothing outside this study{names}. Comments and descriptions are
their own words; read them before you publish the archive.

To compute every table again from the labels, and compare:

    python -m annotation_site.verify ARCHIVE.zip
"""


def readme(*, title: str, has_figures: bool, with_names: bool) -> str:
    """README.md of an archive."""
    return _README.format(
        title=escaped(title),
        figures="the figures of the results page" if has_figures else "none had been drawn",
        names=", and with their user names, as was asked for" if with_names else "",
    )


def fields_table() -> str:
    """The documented fields of a record, as a Markdown table; docs/exports.md holds the same."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for field in LABEL_FIELDS:
        can_be = " or missing" if field.nullable else ""
        lines.append(f"| `{field.name}` | {field.type}{can_be} | {field.meaning} |")
    return "\n".join(lines) + "\n"


def methods(parameters: Mapping[str, Any], tables: Mapping[str, Table]) -> str:
    """A paragraph for the methods section; every number in it stands in the archive."""
    study, choices, counts = parameters["study"], parameters["tables"], parameters["counts"]
    kinds = _series(f"{counts['kinds'][kind]:,} of {KINDS[kind]}" for kind in counts["kinds"])
    models = _series(sorted({one["model"] for one in parameters["extractions"]}))
    sentences = [
        f"We annotated {counts['lists']:,} lists of the top {_span(counts['lengths'])} tokens of "
        f"vectors of {models} projected onto the vocabulary ({kinds}), following the protocol of "
        "Geva et al. (2022, appendix A.2).",
        f"{_people(counts['annotators'])}, who saw neither the model nor a vector's kind, layer or "
        f"index, gave {counts['annotations']:,} answers; {counts['no_pattern']:,} of them said "
        "that a list has no pattern.",
        f"A pattern ({_series(study['categories'], 'or')}) counts from {choices['min_tokens']} "
        "tokens on; coverage is the share of a list's tokens in a pattern that is not one of stop "
        "words or punctuation, averaged over a list's annotators, then over lists.",
        *_coverage_sentences(tables["coverage_intervals"]),
        *_difference_sentences(tables["real_against_random"]),
        *_agreement_sentences(tables["agreement"]),
        "Intervals are 95% percentile bootstrap intervals from "
        f"{choices['resamples']:,} resamples of lists within kind and layer (seed "
        f"{choices['seed']}), conditional on these annotators.",
    ]
    return " ".join(sentences) + "\n"


KINDS = {
    "value": "value vectors",
    "random": "random vectors",
    "update": "FFN updates",
}


def _coverage_sentences(table: Table) -> Iterable[str]:
    for row in _rows(table):
        if row["measure"] == "coverage" and row["layer"] is None:
            yield (
                f"Coverage of {KINDS[row['kind']]} of {row['model']} is {_percent(row['value'])}"
                f"{_interval(row, _percent)} over {row['lists']:,} lists."
            )


def _difference_sentences(table: Table) -> Iterable[str]:
    for row in _rows(table):
        # No layer may have judged lists of both kinds.
        if (row["measure"], row["layer"]) == ("coverage", None) and row["difference"] is not None:
            yield (
                f"Value minus random vectors of {row['model']}: {100 * row['difference']:.1f} "
                f"percentage points{_interval(row, lambda share: f'{100 * share:.1f}')}, Cliff's "
                f"delta "
                f"{row['cliffs_delta']:.2f}, permutation p = {row['p']:.4f}."
            )


def _agreement_sentences(table: Table) -> Iterable[str]:
    rows = list(_rows(table))
    # Of all lists: without a model where there are several.
    several = any(row["model"] is None for row in rows)
    for row in rows:
        if row["measure"] in _REPORTED and (row["model"] is None or not several):
            value = row["undefined"]
            if row["value"] is not None:
                value = f"{row['value']:.2f}{_interval(row, lambda value: f'{value:.2f}')}"
            yield f"{_REPORTED[row['measure']]}: {value.rstrip('.')}."


_REPORTED = {
    "percent_agreement_concept": "Percent agreement on whether a token is in a concept",
    "krippendorff_alpha_concept": "Krippendorff's alpha of the same",
    "mean_matched_jaccard": "Overlap of matched patterns",
}


def _rows(table: Table) -> Iterable[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return (dict(zip(names, row, strict=True)) for row in table.rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _interval(row: Mapping[str, Any], write: Any) -> str:
    if row["low"] is None:
        return ""
    return f" [{write(row['low'])}, {write(row['high'])}]"


def _people(number: int) -> str:
    return "One annotator" if number == 1 else f"{number} annotators"


def _span(lengths: list[int]) -> str:
    return str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"


def _series(words: Iterable[str], last: str = "and") -> str:
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} {last} {found[-1]}"
