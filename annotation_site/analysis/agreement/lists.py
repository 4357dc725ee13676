"""Agreement per list: patterns side by side, disagreement ranking, test and retest."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.couples import beside, couples
from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import Agreement, agreement_tables
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.intervals import SEED
from annotation_site.analysis.strata import NOTHING_KNOWN, STRATA, Populations

RANKED_BY = ("mean_matched_jaccard", "pattern_f1", "percent_agreement_concept")
"""What the list people disagree on most has least of; the first that differs decides."""

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
    program: Agreement,
    *,
    apart: Collection[str] = (),
    resamples: int = 0,
    seed: int = SEED,
    populations: Populations = NOTHING_KNOWN,
) -> pd.DataFrame:
    """Agreement of people with a machine annotator, list by list.

    Parameters
    ----------
    agreement
        Of people's answers that count.
    program
        Of one answer to each list.
    apart
        Who is no person, though among the people.
    resamples, seed, populations
        As for `retest_table`.

    Returns
    -------
    DataFrame
        As `agreement_table`; ``lists`` counts people's answers.
    """
    first, second = agreement.annotations[None], program.annotations[None]
    found = couples(first, second)
    chosen = found[~found["annotator"].isin(list(apart))]
    both = Agreement({None: beside(first, second, chosen)}, agreement.measures, seed=agreement.seed)
    options: dict[str, Any] = {"resamples": resamples, "seed": seed, "populations": populations}
    return _everybody(both, options)


def _everybody(both: Agreement, options: dict[str, Any]) -> pd.DataFrame:
    """The table of all pairs of answers; a list is drawn with all of its pairs."""
    together = replace(both, unit="answered")
    return agreement_tables(together, by=[()], **options)[0]
