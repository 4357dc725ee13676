"""Tables about people: annotations, active time, and both by practice."""

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.tables import Agreement, agreement_table
from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames
from annotation_site.analysis.coverage import annotation_coverage

COMPARED = ("percent_agreement_concept", "krippendorff_alpha_concept", "mean_matched_jaccard")
"""What a person's row says about agreement with the others."""

LESSON = 5
"""Lists of one step of the learning curve."""


def timed(times: pd.DataFrame) -> pd.DataFrame:
    """The rows of `times` with active time. 0 s is no measurement: the time is not known."""
    return times[times["active_seconds"] > 0]


def people_table(
    labels: AnnotationFrames, times: pd.DataFrame, pairs: pd.DataFrame, *, min_tokens: int
) -> pd.DataFrame:
    """One row per person: annotations, means, time, agreement.

    Parameters
    ----------
    labels
        The answers that count.
    times
        One row per annotation: ``annotation_id``, ``annotator``, ``active_seconds``.
    pairs
        `agreement_table` of ``Agreement.by_pair()`` by "first" and "second".
    min_tokens
        As for `annotation_coverage`.

    Returns
    -------
    DataFrame
        One row per person, by id: ``annotator``, ``annotations``, ``no_pattern``, ``coverage``
        and ``concepts`` (means over the person's own annotations), ``median_seconds`` (active
        time per list, missing where none is known), and for each measure of `COMPARED` its mean
        over the pairs the person is in, weighted by what each rests on.
    """
    answers = annotation_coverage(labels, min_tokens=min_tokens)
    answers = answers.assign(no_pattern=(answers["patterns"] == 0).astype(np.int64))
    people = answers.groupby("annotator").agg(
        annotations=("annotation_id", "size"),
        no_pattern=("no_pattern", "sum"),
        coverage=("coverage", "mean"),
        concepts=("concepts", "mean"),
    )
    known = timed(times)
    known = known[known["annotation_id"].isin(answers["annotation_id"])]
    people["median_seconds"] = known.groupby("annotator")["active_seconds"].median()
    for measure in COMPARED:
        rows = pairs[(pairs["measure"] == measure) & pairs["value"].notna()]
        sides = pd.concat(
            [
                rows[[side, "value", "n"]].rename(columns={side: "annotator"})
                for side in ("first", "second")
            ]
        ).astype({"value": float, "n": float})
        weighted = (sides["value"] * sides["n"]).groupby(sides["annotator"]).sum()
        people[measure] = weighted / sides.groupby("annotator")["n"].sum()
    return people.reset_index().astype({"annotator": "object"})


def times_table(labels: AnnotationFrames, times: pd.DataFrame) -> pd.DataFrame:
    """Active time per list, by model and kind, of annotations whose time is known.

    Returns
    -------
    DataFrame
        ``model``, ``kind``, ``annotations``, ``low`` (a quarter take less), ``median_seconds``,
        ``high`` (a quarter take more).
    """
    known = timed(times)[["annotation_id", "active_seconds"]]
    rows = labels.annotations.merge(known, on="annotation_id")
    rows = rows.merge(labels.lists, on="list_id")
    grouped = rows.groupby(["model", "kind"])["active_seconds"]
    table = grouped.agg(
        annotations="size",
        low=lambda seconds: seconds.quantile(0.25),
        median_seconds="median",
        high=lambda seconds: seconds.quantile(0.75),
    ).reset_index()
    order = pd.Categorical(table["kind"], KINDS, ordered=True)
    return table.assign(order=order).sort_values(["model", "order"]).drop(columns="order")


def learning_table(
    labels: AnnotationFrames, times: pd.DataFrame, agreement: Agreement
) -> pd.DataFrame:
    """Time and agreement by the number of lists a person had submitted before.

    Parameters
    ----------
    labels
        The answers that count.
    times
        One row per annotation, in the order of submission.
    agreement
        Of the same labels.

    Returns
    -------
    DataFrame
        One row per step of `LESSON` lists: ``first_list``, ``last_list`` (counted from 1 within
        each person), ``annotations``, ``median_seconds`` (missing where no time is known),
        ``percent_agreement_concept`` (mean
        over these annotations of their lists' agreement; missing where none has a second
        answer).
    """
    rows = times.merge(labels.annotations[["annotation_id", "list_id"]], on="annotation_id")
    rows = rows.assign(step=rows.groupby("annotator").cumcount() // LESSON)
    rows["known_seconds"] = rows["active_seconds"].where(rows["active_seconds"] > 0)
    measure = "percent_agreement_concept"
    one = Agreement({None: agreement.annotations[None]}, {measure: agreement.measures[measure]})
    by_list = agreement_table(one, by=["list_id"])[["list_id", "value"]]
    rows = rows.merge(by_list, on="list_id", how="left")
    table = rows.groupby("step").agg(
        annotations=("annotation_id", "size"),
        median_seconds=("known_seconds", "median"),
        percent_agreement_concept=("value", "mean"),
    )
    first = table.index.to_numpy(dtype=np.int64) * LESSON + 1
    table.insert(0, "first_list", first)
    table.insert(1, "last_list", first + LESSON - 1)
    return table.reset_index(drop=True)
