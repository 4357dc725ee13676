"""Agreement per list: patterns side by side, disagreement ranking, test and retest."""

from collections.abc import Collection, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.couples import beside, couples
from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.groups import AgreementOfLists
from annotation_site.analysis.agreement.measure import Measure
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import COLUMNS, Agreement, agreement_tables
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.intervals import SEED
from annotation_site.analysis.strata import NOTHING_KNOWN, STRATA, Populations

RANKED_BY = ("mean_matched_jaccard", "pattern_f1", "percent_agreement_concept")
"""What the list people disagree on most has least of; the first that differs decides."""

FEWEST = 30
"""Lists that people and a machine annotator must have annotated for their agreement to be shown."""

PEOPLE, PEOPLE_AND_MACHINE = "people", "people and machine"
REPLIES_FAILED = "the machine's replies failed"

_FIRST, _SECOND = "first", "second"
_ROUNDING = 1e-12


def matched_patterns(
    labels: AnnotationFrames, *, list_ids: Sequence[Hashable], min_tokens: int
) -> pd.DataFrame:
    """Put every two people's patterns of some lists side by side.

    Parameters
    ----------
    labels
        What people answered.
    list_ids
        The lists, in the order of the rows.
    min_tokens
        As for `measure_agreement`.

    Returns
    -------
    DataFrame
        One row per matched pair of patterns, best overlap first, then per pattern without a
        partner, by list and pair of people: ``list_id``, ``first``, ``second`` (people),
        ``first_pattern`` and ``second_pattern`` (numbers, None where there is no partner),
        ``jaccard`` (0 without a
        partner), ``shared``, ``only_first``, ``only_second`` (tuples of ranks),
        ``same_category`` (None without a partner).
    """
    lists = labels.lists[labels.lists["list_id"].isin(list_ids)]
    annotations = labels.annotations[labels.annotations["list_id"].isin(list_ids)]
    inside = labels.members["annotation_id"].isin(annotations["annotation_id"])
    members = labels.members[inside].reset_index(drop=True)
    answers = encode(AnnotationFrames(lists, annotations, members), min_tokens=min_tokens)[None]
    patterns, pairs, matching = answers.patterns, answers.pairs, answers.matching
    found = matching.candidates
    number = members["pattern"].to_numpy()[patterns.row]
    ranks = _ranks(members, patterns.row)
    rows = []
    place = {list_id: n for n, list_id in enumerate(list_ids)}
    of_pair = answers.lists["list_id"].to_numpy()[pairs.list].tolist()
    order = sorted(range(len(of_pair)), key=lambda pair: place[of_pair[pair]])
    for pair in order:
        people = pairs.people_pairs[pairs.people[pair]]
        chosen = np.flatnonzero(matching.chosen & (found.pair == pair))
        chosen = chosen[np.argsort(-found.jaccard[chosen], kind="stable")]
        couples: list[tuple[int | None, int | None]] = [
            (int(found.first[one]), int(found.second[one])) for one in chosen
        ]
        for side, annotation in enumerate((pairs.first[pair], pairs.second[pair])):
            begin = patterns.first[annotation]
            taken = {couple[side] for couple in couples}
            alone = set(range(begin, begin + patterns.count[annotation])) - taken
            couples += [(one, None) if side == 0 else (None, one) for one in sorted(alone)]
        for one, other in couples:
            left = ranks[one] if one is not None else frozenset()
            right = ranks[other] if other is not None else frozenset()
            both = one is not None and other is not None
            rows.append(
                {
                    "list_id": of_pair[pair],
                    _FIRST: answers.people[people[0]],
                    _SECOND: answers.people[people[1]],
                    "first_pattern": None if one is None else number[one],
                    "second_pattern": None if other is None else number[other],
                    "jaccard": len(left & right) / len(left | right) if both else 0.0,
                    "shared": tuple(sorted(left & right)),
                    "only_first": tuple(sorted(left - right)),
                    "only_second": tuple(sorted(right - left)),
                    "same_category": bool(patterns.category[one] == patterns.category[other])
                    if both
                    else None,
                }
            )
    columns = ["list_id", _FIRST, _SECOND, "first_pattern", "second_pattern", "jaccard", "shared"]
    columns += ["only_first", "only_second", "same_category"]
    table = pd.DataFrame(rows, columns=columns, dtype="object")
    return table.astype({"list_id": lists["list_id"].dtype, "jaccard": "float64"})


def _ranks(members: pd.DataFrame, rows: Integers) -> list[frozenset[int]]:
    """Ranks of the patterns that have a member in these rows."""
    keys = ["annotation_id", "pattern"]
    of_pattern = {
        key: frozenset(int(rank) for rank in group) for key, group in members.groupby(keys)["rank"]
    }
    return [of_pattern[key] for key in members.iloc[rows][keys].itertuples(index=False, name=None)]


def disagreement_ranking(agreement: Agreement) -> pd.DataFrame:
    """Rank the lists with two annotations or more by agreement, lowest first.

    Returns
    -------
    DataFrame
        One row per list, most disagreement first: ``list_id``, ``model``, ``kind``, ``layer``,
        ``annotations``, and a column for each measure of `RANKED_BY`, missing where it is
        undefined. Lists on which nobody found a pattern come last. Equal lists keep the order of
        model, kind, layer and id.
    """
    measures = {name: AGREEMENT_MEASURES[name] for name in RANKED_BY}
    every = Agreement({None: agreement.annotations[None]}, measures)
    keys = ["list_id", "model", "kind", "layer", "annotations"]
    lists = every.lists.reset_index(names="row")
    for name, statistics in every.statistics.items():
        lists[name[1]] = statistics.value(statistics.parts)
    lists = lists[lists["annotations"] > 1]
    places = [_places(lists[name].to_numpy(dtype=np.float64)) for name in reversed(RANKED_BY)]
    lists = lists.iloc[np.lexsort([lists["row"].to_numpy(dtype=np.int64), *places])]
    return lists[[*keys, *RANKED_BY]].astype({"kind": "str"}).reset_index(drop=True)


def _places(values: Floats) -> Integers:
    """The place of each value, missing ones last; equal means have one, however they were summed.

    Rounding stays far below the 1e-12 by which different places differ at least.
    """
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order], prepend=values[order[:1]])
    places = np.empty(len(values), dtype=np.int64)
    places[order] = np.cumsum((steps > _ROUNDING) | (np.isnan(steps) & (np.arange(len(order)) > 0)))
    places[np.isnan(values)] = len(values) + 1
    return places


def retest_table(
    agreement: Agreement,
    repeats: Agreement,
    *,
    resamples: int = 0,
    seed: int = SEED,
    populations: Populations = NOTHING_KNOWN,
) -> pd.DataFrame:
    """Agreement of people with themselves: first and repeated annotations of a list.

    Parameters
    ----------
    agreement
        Of the answers that count.
    repeats
        Of later answers by the same people to some of the same lists; one per person and list.
    resamples, seed, populations
        As for `agreement_tables`. A list is drawn with all answers to it; for a single person, of
        the lists that this person answered twice.

    Returns
    -------
    DataFrame
        As `agreement_table`, with the column ``annotator``: everybody together (missing), then
        each person who answered a list twice. ``lists`` counts one person's pair of answers to
        one list. A repeat without a first answer does not enter.
    """
    first, second = agreement.annotations[None], repeats.annotations[None]
    same_person = couples(first, second, on=["annotator"])
    both = Agreement(
        {None: beside(first, second, same_person)}, agreement.measures, seed=agreement.seed
    )
    options: dict[str, Any] = {"resamples": resamples, "seed": seed, "populations": populations}
    everybody = _everybody(both, options)
    everybody.insert(0, "annotator", None)
    alone = replace(both, strata=("annotator", *STRATA))
    (of_person,) = agreement_tables(alone, by=[("annotator",)], **options)
    return pd.concat([everybody.astype({"annotator": "object"}), of_person], ignore_index=True)


def machine_table(
    agreement: Agreement,
    machine: Agreement,
    *,
    failures: Collection[Hashable] = (),
    known: MutableMapping[bytes, pd.DataFrame] | None = None,
    resamples: int = 0,
    seed: int = SEED,
    populations: Populations = NOTHING_KNOWN,
) -> pd.DataFrame:
    """Agreement of people with each other, and with a machine annotator, on the same lists.

    The lists are those that the machine and two people or more annotated; where no list has two
    people, those that the machine and a person annotated.

    Parameters
    ----------
    agreement
        Of people's annotations that count.
    machine
        Of the machine annotator's, at most one of each list.
    failures
        Ids of lists that have no annotation because the machine's replies failed.
    known
        Tables of people alone by their lists, for machines of the same lists; this adds its own.
    resamples, seed, populations
        As for `agreement_tables`. Both halves have the same draws; a list is drawn with all of its
        annotations.

    Returns
    -------
    DataFrame
        As `agreement_table`, with the column ``between`` ("people", then "people and machine").
        ``lists_total`` has the lists whose replies failed too, and ``left_out`` their number;
        ``annotations`` are people's. Without a value for fewer than `FEWEST` lists.
    """
    lists = agreement.lists
    people = lists["annotations"].to_numpy()
    needed = 2 if (people > 1).any() else 1
    said = lists["list_id"].isin(machine.annotations[None].annotations["list_id"]).to_numpy()
    failed = lists["list_id"].isin(list(failures)).to_numpy() & ~said & (people >= needed)
    rows = np.flatnonzero(said & (people >= needed))
    options: dict[str, Any] = {"resamples": resamples, "seed": seed, "populations": populations}
    if len(rows) < FEWEST:
        options["resamples"] = 0
    known = {} if known is None else known
    if (key := rows.tobytes()) not in known:
        alone = AgreementOfLists.taking(agreement, rows)
        known[key] = agreement_tables(alone, by=[()], **options)[0]
    with_machine = machine_pairs_table(agreement, machine, lists["list_id"].iloc[rows], **options)
    parts = []
    for between, part in ((PEOPLE, known[key]), (PEOPLE_AND_MACHINE, with_machine)):
        part = _with_failures(part, int(failed.sum()))
        # Where no list has two people, that is the reason of their half.
        if len(rows) < FEWEST and (needed == 2 or between == PEOPLE_AND_MACHINE):
            part = _refused(part, agreement.measures, _too_few(len(rows), needed))
        parts.append(part.assign(between=between)[["between", *COLUMNS]])
    return pd.concat(parts, ignore_index=True)


def machine_pairs_table(
    agreement: Agreement, machine: Agreement, list_ids: Collection[Hashable], **options: Any
) -> pd.DataFrame:
    """Agreement of people with a machine annotator on some lists, each person's annotation beside
    the machine's.

    `options` are those of `agreement_tables`. ``lists`` counts each list once, and ``annotations``
    people's alone.
    """
    first, second = agreement.annotations[None], machine.annotations[None]
    found = couples(first, second)
    chosen = beside(first, second, found[found["answered"].isin(list_ids)])
    both = Agreement({None: chosen}, agreement.measures, counted="answered", seed=agreement.seed)
    return _everybody(both, options)


def _with_failures(part: pd.DataFrame, failed: int) -> pd.DataFrame:
    """The table with the lists whose replies failed among those that are left out."""
    if not failed:
        return part
    said = f"{failed} of the lists: {REPLIES_FAILED}"
    left_out = [f"{said}; {others}" if others else said for others in part["left_out"]]
    return part.assign(lists_total=part["lists_total"] + failed, left_out=left_out)


def _too_few(lists: int, needed: int) -> str:
    """The sentence that so many lists give no value."""
    of = "two people" if needed == 2 else "a person"
    if not lists:
        said = "no list has"
    else:
        said = "only 1 list has" if lists == 1 else f"only {lists} lists have"
    return (
        f"undefined, because {said} annotations of {of} and of this machine annotator; at least "
        f"{FEWEST} are needed."
    )


def _refused(part: pd.DataFrame, measures: Mapping[str, Measure], why: str) -> pd.DataFrame:
    """The table without values; a measure that has none in this study keeps its own reason."""
    undefined = [measures[name].undefined or why for name in part["measure"]]
    nothing = dict.fromkeys(("value", "low", "high", "chance"), np.nan)
    return part.assign(**nothing, shuffles=0, undefined=undefined, warning="")


def _everybody(both: Agreement, options: dict[str, Any]) -> pd.DataFrame:
    """The table of all pairs of answers; a list is drawn with all of its pairs."""
    together = replace(both, unit="answered")
    return agreement_tables(together, by=[()], **options)[0]
