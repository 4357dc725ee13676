"""Text of a replication archive's methods.md, for papers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from annotation_site.analysis.annotation_frames import KIND_NAMES
from annotation_site.analysis.controls import compared
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.analysis.prefix_shares import BOTH, NONE
from annotation_site.analysis.strata import ONE_ANNOTATOR
from annotation_site.analysis.written import decimal, points, points_bound, share
from annotation_site.exports.table import Table
from annotation_site.results.files.archive_annotations import SHOWS_PREFIXES
from annotation_site.results.files.methods_estimates import estimates
from annotation_site.results.files.methods_machines import NO_RUNS, Runs, machines
from annotation_site.results.files.people_sentences import people_sentences
from annotation_site.results.files.references import cite

Row = dict[str, Any]

_REPORTED = {
    "percent_agreement_concept": (
        "percent agreement",
        ("artstein-poesio-2008-inter",),
    ),
    "cohen_kappa_concept": ("Cohen's kappa", ("cohen-1960-coefficient",)),
    "fleiss_kappa_concept": ("Fleiss' kappa", ("fleiss-1971-measuring",)),
    "gwet_ac1_concept": ("Gwet's AC1", ("gwet-2008-computing",)),
    "krippendorff_alpha_concept": ("Krippendorff's alpha", ("krippendorff-2011-computing",)),
    "krippendorff_alpha_masi": (
        "Krippendorff's alpha on sets of categories with the MASI distance",
        ("krippendorff-2011-computing", "passonneau-2006-measuring"),
    ),
    "mean_matched_jaccard": (
        "the overlap of matched patterns (Jaccard overlap, matched one to one)",
        ("jaccard-1912-distribution", "kuhn-1955-hungarian"),
    ),
    "pattern_f1": ("F1 of patterns", ("vanrijsbergen-1979-information",)),
    "adjusted_rand_index": ("the adjusted Rand index", ("hubert-arabie-1985-comparing",)),
    "omega_index": ("the Omega index", ("collins-dent-1988-omega",)),
}
"""Measures of agreement that the text reports, with the works that define them."""


def methods(
    parameters: Mapping[str, Any], tables: Mapping[str, Table], runs: Runs = NO_RUNS
) -> str:
    """The text of methods.md; every number in it is in the archive.

    The results page shows the same text for a filter, whose JSON is `parameters["filter"]`.
    """
    paragraphs = (
        _filter(parameters.get("filter", {})),
        _data(parameters, tables),
        _missing(parameters["counts"]),
        _coverage(parameters, tables),
        _prefixes(tables),
        _differences(parameters, tables),
        estimates(parameters["study"], tables),
        _agreement(parameters["study"], tables),
        machines(tables, runs),
        _intervals(parameters, tables),
        _software(parameters),
    )
    return "\n\n".join(" ".join(found) for one in paragraphs if (found := list(one))) + "\n"


def _filter(chosen: Mapping[str, Any]) -> Iterator[str]:
    """A sentence on the part of a study that a filter takes."""
    parts = []
    if kinds := chosen.get("kinds"):
        parts.append(f"{_series(KIND_NAMES[kind] for kind in KIND_NAMES if kind in kinds)}")
    first, last = chosen.get("layer_from"), chosen.get("layer_to")
    if first is not None and last is not None:
        parts.append(f"layer {first}" if first == last else f"layers {first} to {last}")
    elif first is not None:
        parts.append(f"layers from {first}")
    elif last is not None:
        parts.append(f"layers up to {last}")
    if categories := chosen.get("categories"):
        parts.append(f"patterns of the category {_series(sorted(categories), 'or')}")
    if people := chosen.get("people"):
        parts.append(f"annotations by {_number(len(people), 'chosen person', 'chosen people')}")
    if day := chosen.get("day_from"):
        parts.append(f"annotations submitted on {day} or later (UTC)")
    if day := chosen.get("day_to"):
        parts.append(f"annotations submitted until {day} (UTC)")
    if chosen.get("adjudicated") == "only":
        parts.append("adjudicated lists")
    if parts:
        yield f"This text describes a part of the study: {_series(parts)}."
    if chosen.get("adjudicated", "off") != "off":
        yield "Where a list is adjudicated, coverage uses the adjudicated annotation."
    if chosen.get("machine_annotators"):
        yield "Machine annotators are counted as people here."


def _data(parameters: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    study, counts = parameters["study"], parameters["counts"]
    models = _series(sorted({one["model"] for one in parameters["extractions"]}))
    by_kind = _series(
        f"{_number(n, 'list')} of {KIND_NAMES[kind]}" for kind, n in counts["kinds"].items()
    )
    yield (
        f"The study has {_number(counts['lists'], 'list')}: {by_kind}. "
        f"{_shown(study, counts, models)}"
    )
    yield from _chosen(parameters["tables"]["chosen"])
    if of_set := study.get("drawn_from"):
        yield (
            f"Value and key vectors were drawn from the {_number(of_set['vectors'], 'vector')} of "
            f"a set, “{of_set['title']}”, so the results describe these vectors and not the "
            "model's others."
        )
    if not counts["annotations"]:
        yield "No list has an annotation that counts."
        return
    judged = _judged(tables["coverage"])
    yield (
        f"People annotated {counts['judged']:,} of the {_number(counts['lists'], 'list')}: "
        f"{_series(judged)}."
    )
    annotations = counts["annotations"]
    yield (
        f"{_people(counts['annotators'])} submitted {_number(annotations, 'annotation')} without "
        "seeing the model or the kind, layer and index of a vector; "
        f"{_say(counts['no_pattern'])} that the list has no pattern."
    )
    yield from _glosses(study)
    k, per_list = study["annotators_per_list"], counts["annotations_per_list"]
    if per_list:
        least, most = per_list["least"], per_list["most"]
        spread = f"{least}" if least == most else f"{least} to {most}"
        yield (
            f"The design asks for {_number(k, 'annotation')} per list; annotated lists have a "
            f"median of {per_list['median']:g} (range: {spread})."
        )
    minutes = counts["active_seconds"] / 60
    if minutes >= 1:
        time = f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes:.0f} minutes"
        yield f"The annotators' active time adds up to {time}."


def _shown(study: Mapping[str, Any], counts: Mapping[str, Any], models: str) -> str:
    """A sentence on what a list is."""
    if study.get("list_source") == SHOWS_PREFIXES:
        return (
            f"Each list shows the {_span(counts['lengths'])} prefixes of sentences at whose last "
            f"token one key of {models} has its largest coefficients "
            f"{cite('geva-etal-2021-transformer')}."
        )
    return (
        f"Each list shows the top {_span(counts['lengths'])} tokens of one vector of {models}, "
        f"projected onto the vocabulary "
        f"{cite('geva-etal-2021-transformer', 'geva-etal-2022-transformer')}."
    )


def _entry(study: Mapping[str, Any]) -> str:
    """The noun of a list's entries."""
    return "prefix" if study.get("list_source") == SHOWS_PREFIXES else "token"


def _glosses(study: Mapping[str, Any]) -> Iterator[str]:
    """A sentence on the glosses that annotators saw; earlier archives do not say."""
    has_none = not study["show_glosses"] or study.get("list_source") == SHOWS_PREFIXES
    if has_none or "gloss_rule" not in study:
        return
    if study["gloss_rule"] == "ranked":
        yield (
            "They saw English glosses: for a word in WordNet the most frequent sense that fits the "
            "token, and none for closed-class words."
        )
    else:
        yield "They saw English glosses: for a word in WordNet the definition of its first synset."


def _chosen(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Sentences about lists that are no probability sample."""
    for model, kind in pairs:
        yield (
            f"The {KIND_NAMES[kind]} of {model} were chosen by hand and are no probability sample, "
            "so the results describe these lists only."
        )


def _judged(table: Table) -> list[str]:
    rows = [row for row in _rows(table) if row["layer"] is None]
    several = len({row["model"] for row in rows}) > 1
    return [
        f"{row['lists']:,} of {_number(row['lists_total'], 'list')} of {KIND_NAMES[row['kind']]}"
        + (f" of {row['model']}" if several else "")
        for row in rows
    ]


def _missing(counts: Mapping[str, Any]) -> Iterator[str]:
    left = [
        f"skipped {_number(counts['skipped'], 'list')}" if counts["skipped"] else "",
        f"opened {_number(counts['expired'], 'list')} without submitting an annotation in time"
        if counts["expired"]
        else "",
    ]
    if any(left):
        yield f"Annotators {_series(filter(None, left))}; these lists have no annotation from them."
    else:
        yield "Annotators skipped no list."
    surplus, unblinded = counts["excluded"]["surplus"], counts["excluded"]["unblinded"]
    out = [
        f"{_number(surplus, 'surplus annotation')} (beyond the number per list)" if surplus else "",
        f"{_number(unblinded, 'annotation')} by people who were not blind" if unblinded else "",
    ]
    yield (
        f"The results exclude {_series(filter(None, out))}."
        if any(out)
        else "The results exclude no submitted annotation."
    )
    if gone := counts["withdrawn"]:
        yield (
            f"Annotators who withdrew had opened {_number(gone, 'list')}; their annotations were "
            "removed."
        )
    others = {p: n for p, n in counts["records"].items() if p != "annotation" and n}
    if others:
        named = _series(f"{n:,} for {_PURPOSES[p]}" for p, n in others.items())
        yield f"Measures of coverage exclude submissions for other purposes: {named}."
    if seen := counts.get("adjudicated_not_blind"):
        yield (
            f"Of the adjudicated annotations, {seen:,} {'was' if seen == 1 else 'were'} given not "
            "blind, by researchers who had looked at people's annotations and the list's origin."
        )


_PURPOSES = {
    "training": "training",
    "repeat": "repeated lists",
    "reference": "reference lists",
    "pilot": "the pilot",
    "adjudication": "adjudication",
}


def _coverage(parameters: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    study, choices, counts = parameters["study"], parameters["tables"], parameters["counts"]
    small, all_of_them = counts["patterns_too_small"], counts["patterns"]
    entries = "prefixes" if _entry(study) == "prefix" else "tokens"
    yield (
        f"A pattern ({_series(study['categories'], 'or')}) needs at least "
        f"{_number(choices['min_tokens'], _entry(study), entries)} to count; {small:,} of the "
        f"{_number(all_of_them, 'pattern')} {'has' if small == 1 else 'have'} fewer {entries}."
    )
    if study.get("list_source") == SHOWS_PREFIXES:
        yield (
            "Coverage is the share of a list's prefixes in patterns that count. It is averaged "
            "over each list's annotators, then over lists."
        )
    else:
        yield (
            "Annotators can flag a pattern as stopwords or punctuation. The flag is proposed if "
            "more than half of the pattern's tokens are in scikit-learn's English stop-word list "
            f"{cite('pedregosa-etal-2011-scikit')} or consist of punctuation and symbols."
        )
        yield (
            "Coverage is the share of a list's tokens in patterns that count and are not flagged. "
            "It is averaged over each list's annotators, then over lists "
            f"{cite('geva-etal-2022-transformer')}."
        )
    for row in _rows(tables["coverage_intervals"]):
        if row["measure"] == "coverage" and row["layer"] is None and row["value"] is not None:
            lists = _number(row["lists"], "list")
            yield (
                f"Coverage of the {KIND_NAMES[row['kind']]} of {row['model']} is "
                f"{share(row['value'])} ({_interval(row, share)}; {lists})."
            )


def _prefixes(tables: Mapping[str, Table]) -> Iterator[str]:
    """Sentences on figure 2 of the 2021 paper, and on keys without a list."""
    if "prefix_shares" not in tables or "keys" not in tables:
        return
    shares: dict[tuple[str, str], Row] = {}
    for row in _rows(tables["prefix_shares"]):
        if row["layer"] is None:
            shares.setdefault((row["model"], row["kind"]), {})[row["measure"]] = row["value"]
    for (model, kind), values in shares.items():
        places = {BOTH: "patterns of both categories", NONE: "no pattern"}
        places |= {
            name: f"{name.removeprefix('only_')} patterns alone"
            for name in values
            if name.startswith("only_")
        }
        parts = [
            f"{share(value)} are in {places[name]}"
            for name, value in values.items()
            if name in places
        ]
        yield (
            f"Of the prefixes shown for the {KIND_NAMES[kind]} of {model}, {_series(parts)} "
            f"{cite('geva-etal-2021-transformer')}. On average, one of these lists has "
            f"{decimal(values['patterns_per_key'])} patterns that count."
        )
    for row in _rows(tables["keys"]):
        if row["layer"] is None:
            yield (
                f"Of the {row['keys']:,} {KIND_NAMES[row['kind']]} of {row['model']}, "
                f"{row['never_active']:,} {'is' if row['never_active'] == 1 else 'are'} never "
                f"active and {'has' if row['never_active'] == 1 else 'have'} no list, and "
                f"{row['short']:,} {'has' if row['short'] == 1 else 'have'} a list of fewer than "
                f"{PREFIXES_SHOWN} prefixes."
            )


def _differences(parameters: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    kinds = compared(row["kind"] for row in _rows(tables["coverage"]))
    differences = [(kinds, row) for row in _overall(tables, "real_against_random")]
    differences += [(("value", row["control"]), row) for row in _overall(tables, "other_controls")]
    for of_kinds, row in differences:
        first, second = (KIND_NAMES[kind] for kind in of_kinds)
        yield (
            f"The coverage of the {first} of {row['model']} minus that of its {second} "
            f"is {points(row['difference'])} points ({_interval(row, points_bound)}), with Cliff's "
            f"delta {decimal(row['cliffs_delta'])} {cite('cliff-1993-dominance')} and "
            f"{_p(row['p'])}."
        )
    if differences:
        draws = parameters["tables"]["resamples"]
        yield (
            "The difference is the mean of the differences within layers. The two-sided "
            f"permutation test shuffles kinds within layers {draws:,} times, "
            f"p = (b + 1) / ({draws:,} + 1), where b is the number of shuffles with a difference "
            f"at least as far from 0 {cite('phipson-smyth-2010-permutation')}. Holm's method "
            f"{cite('holm-1979-simple')} adjusts p-values over layers and models."
        )


def _overall(tables: Mapping[str, Table], name: str) -> list[Row]:
    """Differences of coverage over all layers; none where an older archive lacks the table."""
    return [
        row
        for row in (_rows(tables[name]) if name in tables else ())
        if row["measure"] == "coverage" and row["layer"] is None and row["difference"] is not None
    ]


def _agreement(study: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    rows = list(_rows(tables["agreement"]))
    # Of all lists: without a model where there are several.
    several = any(row["model"] is None for row in rows)
    found = {
        row["measure"]: row
        for row in rows
        if row["measure"] in _REPORTED and (row["model"] is None or not several)
    }
    if not any(row["value"] is not None for row in found.values()):
        why = next((row["undefined"] for row in found.values()), None)
        yield f"Agreement is {(why or 'undefined, because no list was annotated').rstrip('.')}."
        return
    lists = max(row["lists"] for row in found.values())
    yield (
        f"Agreement is computed over {_number(lists, 'list')} with annotations by at least two "
        "people, and over all patterns that count, flagged ones too. "
        f"{_entry(study).capitalize()} measures use one judgement per {_entry(study)}: whether it "
        "is in a pattern that counts."
    )
    for measure, (title, works) in _REPORTED.items():
        row = found.get(measure)
        if row is None:
            continue
        value = (row["undefined"] or "undefined").rstrip(".")
        if row["value"] is not None:
            value = decimal(row["value"])
            if row["low"] is not None:
                value += f" ({_interval(row, decimal)})"
            if row["chance"] is not None:
                value += f", and {decimal(row['chance'])} by chance, with shuffled entries"
        yield f"{title[0].upper()}{title[1:]} {cite(*works)} is {value}."
    if all(row["low"] is None for row in found.values()):
        yield "Agreement has no interval here."


def _intervals(parameters: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    choices = parameters["tables"]

    def has_interval(name: str) -> bool:
        return any(row["low"] is not None for row in _rows(tables[name]))

    means = has_interval("coverage_intervals") or has_interval("real_against_random")
    if means:
        yield (
            "Intervals of means and of differences are 95% t intervals stratified by kind and "
            "layer, with Satterthwaite's degrees of freedom "
            f"{cite('satterthwaite-1946-approximate')}, cut at the possible bounds."
        )
    agreement = has_interval("agreement")
    if agreement:
        yield (
            "Intervals of agreement are 95% percentile intervals of a rescaled bootstrap "
            f"{cite('rao-wu-1988-resampling')}: {choices['resamples']:,} resamples of lists within "
            f"kind and layer (seed {choices['seed']})."
        )
    if means or agreement:
        yield "All these intervals are conditional on these annotators."
    if "people_intervals" in tables and parameters["counts"]["annotations"]:
        yield from people_sentences(list(_rows(tables["people_intervals"])), choices["resamples"])


def _software(parameters: Mapping[str, Any]) -> Iterator[str]:
    product = parameters["product"]
    yield (
        f"All values were computed with {product['name']} {product['version']} (measures version "
        f"{product['measures_version']})."
    )


def _rows(table: Table) -> Iterator[Row]:
    names = [column.name for column in table.columns]
    return (dict(zip(names, row, strict=True)) for row in table.rows)


def _interval(row: Row, write: Any) -> str:
    if row["low"] is None or row["high"] is None:
        why = row.get("warning")
        return f"no interval: {why}" if why else "no interval"
    said = f"95% interval: {write(row['low'])} to {write(row['high'])}"
    alone = ONE_ANNOTATOR in (row.get("warning") or "")
    return f"{said}; {ONE_ANNOTATOR}" if alone else said


def _p(p: float | None) -> str:
    return "no p-value" if p is None else f"p = {p:.4f}"


def _say(number: int) -> str:
    if not number:
        return "none of them says"
    return f"{number:,} of them {'says' if number == 1 else 'say'}"


def _people(number: int) -> str:
    return {0: "No annotator", 1: "One annotator"}.get(number, f"{number:,} annotators")


def _number(number: int, what: str, several: str = "") -> str:
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def _span(lengths: list[int]) -> str:
    if not lengths:
        return "0"
    return str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"


def _series(words: Iterable[str], last: str = "and") -> str:
    found = list(words)
    if not found:
        return "none"
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} {last} {found[-1]}"
