"""Competence of annotators: each person beside the latent majority of `dawid_skene`.

The definitions are in ``docs/measures.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.dawid_skene import ROUNDS, Fit, Profiles, fit, majority
from annotation_site.analysis.intervals import (
    SEED,
    drawn_weights,
    percentile_interval,
    rows_of,
)
from annotation_site.analysis.strata import (
    FEW_PER_STRATUM_RESAMPLED,
    NOTHING_KNOWN,
    STRATA,
    Floats,
    Integers,
    Marks,
    Populations,
    Strata,
    joined,
)

PEOPLE = 3
SHARED = 30
"""Fewest people, and fewest lists that each shares with another of them."""

RESAMPLES = 200
FEWEST = 100
"""Resamples of an interval: at most, and at least."""

DRAWN_ROUNDS = 100
DRAWN_CHANGE = 1e-7
"""The same of a resample's fit, which starts from the fit of all lists."""

FEW_PEOPLE = f"undefined, because fewer than {PEOPLE} people share {SHARED} lists each."
FEW_SHARED = (
    f"undefined, because this person shares fewer than {SHARED} lists with the people compared."
)
NOTHING_IN = "undefined, because the latent majority puts no entry into a pattern."
NOTHING_OUT = "undefined, because the latent majority puts every entry into a pattern."
TOO_MANY = "no interval: people share lists in too many combinations to be drawn again"
NOT_ENDED = "the last round still changed the fit"

COMPETENCE_COLUMNS: Mapping[str, type] = {
    "annotator": object,
    "sensitivity": float,
    "sensitivity_low": float,
    "sensitivity_high": float,
    "specificity": float,
    "specificity_low": float,
    "specificity_high": float,
    "majority_agreement": float,
    "lists": int,
    "shared_lists": int,
    "undefined": str,
    "warning": str,
}

_CELLS = 2_000_000  # profiles × resamples: more would take minutes


def competence_table(
    answers: EncodedAnnotations,
    *,
    resamples: int = 0,
    seed: int = SEED,
    populations: Populations = NOTHING_KNOWN,
) -> pd.DataFrame:
    """Tabulate how often each person agrees with the latent majority, in and out of patterns.

    Parameters
    ----------
    answers
        The annotations that count.
    resamples
        Of intervals; at most `RESAMPLES` are drawn, and none for 0.
    seed, populations
        As for `agreement_tables`; lists are drawn within model, kind and layer, with all of their
        annotations. Fits of resamples start from the fit of all lists.

    Returns
    -------
    DataFrame
        One row per person, by id, with the columns of `COMPETENCE_COLUMNS`: ``sensitivity`` and
        ``specificity`` with the bounds of their 95% intervals, ``majority_agreement`` (the mean
        probability that a judgement is the latent majority's), ``lists`` (annotated),
        ``shared_lists`` (by somebody else too), ``undefined``, ``warning``.
    """
    person, number = _who_and_where(answers)
    judged = np.zeros((len(answers.lists), len(answers.people)), dtype=np.bool_)
    judged[number, person] = True
    compared = _compared(judged)
    shared = judged & (judged.sum(axis=1, keepdims=True) > 1)
    missing = "" if compared.any() else FEW_PEOPLE
    found: dict[int, dict[str, object]] = {}
    if compared.any():
        used = (judged & compared).sum(axis=1) > 1
        kept = compared[person] & used[number]
        profiles = _profiles(answers, np.flatnonzero(kept), person[kept], number[kept])
        known = _Study(profiles, np.flatnonzero(used), answers.lists, populations)
        found = known.rows(resamples, seed)
    empty = dict.fromkeys(COMPETENCE_COLUMNS, np.nan) | {"warning": ""}
    rows = [
        {
            **empty,
            "annotator": name,
            "lists": judged[:, n].sum(),
            "shared_lists": shared[:, n].sum(),
            **(found[n] if compared[n] else {"undefined": missing or FEW_SHARED}),
        }
        for n, name in enumerate(answers.people)
    ]
    return pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)).astype(dict(COMPETENCE_COLUMNS))


def _who_and_where(answers: EncodedAnnotations) -> tuple[Integers, Integers]:
    """The person and the list of each annotation, as rows of `people` and `lists`."""
    people = pd.Index(pd.Series(answers.people, dtype="object"))
    person = people.get_indexer(answers.annotations["annotator"].astype("object"))
    number = pd.Index(answers.lists["list_id"]).get_indexer(answers.annotations["list_id"])
    return person.astype(np.int64), number.astype(np.int64)


def _compared(judged: Marks) -> Marks:
    """The people who share `SHARED` lists with each other; nobody where they are too few.

    `judged` has shape (lists, people).
    """
    kept = np.ones(judged.shape[1], dtype=np.bool_)
    while True:
        own = judged & kept
        shared = (own & (own.sum(axis=1, keepdims=True) > 1)).sum(axis=0)
        still = kept & (shared >= SHARED)
        if (still == kept).all():
            return kept if kept.sum() >= PEOPLE else np.zeros_like(kept)
        kept = still


def _profiles(
    answers: EncodedAnnotations, rows: Integers, person: Integers, number: Integers
) -> Profiles:
    """Count equal judgements of the annotations in `rows`, ordered by list and person."""
    people = len(answers.people)
    _, annotators = np.unique(number, return_counts=True)
    begin = np.cumsum(annotators) - annotators
    inside, outside, cells = [], [], []
    seen = 0
    for several in np.unique(annotators):
        lists = np.flatnonzero(annotators == several)
        where = begin[lists, None] + np.arange(several)
        grid = answers.in_concept[rows[where]]  # (lists, people of a list, entries)
        group, place = np.unique(person[where], axis=0, return_inverse=True)
        code = np.repeat(place.reshape(-1, 1), grid.shape[2], axis=1)
        for one in range(several):
            code = code * 2 + (grid[:, one] == 1)
            if one % 30 == 29:  # numbers stay small
                code = np.unique(code, return_inverse=True)[1].reshape(code.shape)
        real = grid[:, 0] >= 0
        _, first, which = np.unique(code[real], return_index=True, return_inverse=True)
        at_list, at_entry = (index[first] for index in np.nonzero(real))
        marks = np.full((len(first), people), -1, dtype=np.int8)
        np.put_along_axis(marks, group[place.ravel()[at_list]], grid[at_list, :, at_entry], axis=1)
        inside.append(sparse.csr_array(marks == 1, dtype=np.float64))
        outside.append(sparse.csr_array(marks == 0, dtype=np.float64))
        cells.append((lists[np.nonzero(real)[0]], seen + which))
        seen += len(first)
    at, profile = np.concatenate(cells, axis=1)
    shape = len(begin), seen
    counts = sparse.csr_array((np.ones(len(at)), (at, profile)), shape=shape)
    return Profiles(sparse.vstack(inside).tocsr(), sparse.vstack(outside).tocsr(), counts)


@dataclass(frozen=True, eq=False)
class _Study:
    """The judgements of a study; `used` are the rows of its lists behind `profiles`."""

    profiles: Profiles
    used: Integers
    lists: pd.DataFrame
    populations: Populations

    def rows(self, resamples: int, seed: int) -> dict[int, dict[str, object]]:
        """Cells of the table by person; people who judged nothing have no meaning."""
        weights = np.asarray(self.profiles.counts.sum(axis=0), dtype=np.float64)[:, None]
        found = fit(self.profiles, weights, majority(self.profiles))
        agreement = self._agreement(weights, found)
        positive = float((weights * found.posterior).sum())
        sides = {
            "sensitivity": (found.sensitivity[:, 0], positive, NOTHING_IN),
            "specificity": (found.specificity[:, 0], float(weights.sum()) - positive, NOTHING_OUT),
        }
        reason, said = self._judged(resamples)
        drawn = None if reason or not resamples else self._drawn(resamples, seed, found)
        rows: dict[int, dict[str, object]] = {}
        for person in range(self.profiles.inside.shape[1]):
            row: dict[str, object] = {"majority_agreement": agreement[person], "undefined": ""}
            warnings = [reason, *said, NOT_ENDED if found.rounds == ROUNDS else ""]
            for name, (values, entries, undefined) in sides.items():
                if entries < 0.5:  # the prior alone would be shown
                    row["undefined"] = undefined
                    continue
                row[name] = values[person]
                if drawn is not None:
                    interval = percentile_interval(
                        getattr(drawn, name)[person], value=float(values[person])
                    )
                    row[f"{name}_low"], row[f"{name}_high"] = interval.low, interval.high
                    warnings += interval.warnings()
            rows[person] = {**row, "warning": joined(warnings)}
        return rows

    def _agreement(self, weights: Floats, found: Fit) -> Floats:
        """The mean probability that a judgement is the latent majority's, shape (people,)."""
        is_in = weights[:, 0] * found.posterior[:, 0]
        same = self.profiles.inside.T @ is_in + self.profiles.outside.T @ (weights[:, 0] - is_in)
        judged = (self.profiles.inside + self.profiles.outside).T @ weights[:, 0]
        return np.asarray(same / np.maximum(judged, 1))

    @property
    def _strata(self) -> tuple[Integers, Strata]:
        """The stratum of each list, and the strata."""
        grouped = self.lists.iloc[self.used].groupby(list(STRATA), observed=True)
        stratum = grouped.ngroup().to_numpy(dtype=np.int64)
        known = grouped.size().reset_index()[list(STRATA)]
        size = np.bincount(stratum, minlength=len(known)).astype(np.int64)
        return stratum, Strata.of(known, size, self.populations)

    def _judged(self, resamples: int) -> tuple[str, list[str]]:
        """Why there is no interval, or what weakens it."""
        _, strata = self._strata
        every = np.ones(len(strata), dtype=np.bool_)
        reason, said = strata.judged(every, few=FEW_PER_STRATUM_RESAMPLED)
        if not reason and resamples and self._affordable < FEWEST:
            reason = TOO_MANY
        return reason, said

    @property
    def _affordable(self) -> int:
        return min(RESAMPLES, _CELLS // int(self.profiles.counts.shape[1]))

    def _drawn(self, resamples: int, seed: int, found: Fit) -> Fit:
        """The fit of every resample of lists."""
        stratum, strata = self._strata
        pool = strata.pools[stratum]
        rows = rows_of(pool)
        fixed = np.zeros(len(rows), dtype=np.bool_)
        fixed[strata.pools] = strata.whole
        count = min(resamples, self._affordable)
        (block,) = drawn_weights(rows, resamples=count, seed=seed, block=count, fixed=fixed)
        drawn = np.empty((len(pool), count))
        for inside, weight in zip(rows, block, strict=True):
            drawn[inside] = weight.T
        return fit(
            self.profiles,
            np.asarray(self.profiles.counts.T @ drawn),
            found.posterior[:, 0],
            rounds=DRAWN_ROUNDS,
            change=DRAWN_CHANGE,
        )
