"""Variance components of coverage: what varies between lists, between people, and within lists.

The definitions, and a case worked through by hand, are in ``docs/measures.md``. A past study or a
pilot gives them; `annotation_site.analysis.power` predicts a planned study from them.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames
from annotation_site.analysis.coverage import annotation_coverage
from annotation_site.analysis.strata import Floats, Integers, Marks, joined

COLUMNS = (
    *("source", "model", "kind", "mean", "between_lists", "disagreement", "between_people"),
    *("people_by_kind", "layers", "lists", "lists_with_two", "annotations", "annotators"),
    *("share_zero", "warning"),
)
COUNTS = ("layers", "lists", "lists_with_two", "annotations", "annotators")

ONE_PERSON = "one person annotated: their disagreement with others is unknown"
NO_SECOND = (
    "no list has two people: disagreement is unknown, and is part of the variance between lists"
)
NO_OWN_PAIR = (
    "nobody annotated two lists of a layer: the variance between people is unknown, and is part of "
    "the disagreement"
)
NO_TWO_LISTS = "no layer has two annotated lists: the variance between lists is unknown"
ONE_KIND = "one kind: what people and kinds do together is part of the variance between people"
NO_COMMON_LAYER = (
    "no person annotated two kinds in a layer beside another person: what people and kinds do "
    "together is part of the variance between people"
)
NEGATIVE = {
    "between_lists": "the estimate of the variance between lists is negative and becomes 0",
    "disagreement": "the estimate of the variance of disagreement is negative and becomes 0",
    "between_people": "the estimate of the variance between people is negative and becomes 0",
    "people_by_kind": "the estimate of the variance of people and kinds is negative and becomes 0",
}
_ROUNDING = 1e-12  # nearer to 0 than this is 0: sums in another order differ by less


def variance_components(
    labels: AnnotationFrames, *, min_tokens: int, source: str = "annotation"
) -> pd.DataFrame:
    r"""Estimate the variance components of coverage by the method of moments.

    Parameters
    ----------
    labels, min_tokens
        As for `annotation_coverage`. Lists that nobody annotated do not enter.
    source
        What the annotations are for, as the first column says it.

    Returns
    -------
    DataFrame
        Per model, and then for all models together (``model`` missing) where there are several: a
        row per kind, and one for all kinds (``kind`` missing). The columns are `COLUMNS`. ``mean``
        is the mean over lists, ``share_zero`` the share of lists with a mean of 0,
        ``lists_with_two`` the number with two people or more. The components are
        ``between_lists`` (within a layer), ``disagreement`` (of people on one list, without what
        sets the people apart), ``between_people`` and ``people_by_kind``; missing (NaN) where they
        cannot be estimated, as ``warning`` says, with the assumption then. In the row of one kind
        ``between_people`` holds ``people_by_kind`` too, which is missing.

    Raises
    ------
    ValueError
        As for `annotation_coverage`.

    Notes
    -----
    The model of the annotation of list i by person j, of kind k and layer h::

        y = mean(k, h) + list(i) + person(j) + person_by_kind(j, k) + rest(i, j)

    With half the mean squared difference of two annotations in one kind and layer::

        W, of one list, by different people  = between_people + people_by_kind + disagreement
        P, by one person, of different lists = between_lists + disagreement
        T, of different lists and people     = all four

    so that between_lists = T − W, between_people + people_by_kind = T − P and disagreement =
    W + P − T. W and P are pooled variances, T is over all such pairs. In a balanced design these
    are the estimates of an analysis of variance. between_people alone is the covariance of one
    person's annotations of two kinds in a layer, minus that of different people.

    References
    ----------
    Searle, Casella and McCulloch (1992), Variance components, chapters 4 and 5.
    """
    answers = annotation_coverage(labels, min_tokens=min_tokens)
    answers = answers[["list_id", "annotator", "coverage"]].merge(labels.lists, on="list_id")
    models = sorted(answers["model"].unique())
    rows = [
        row
        for model in [*models, *([None] if len(models) > 1 else [])]
        for row in _rows_of(answers if model is None else answers[answers["model"] == model], model)
    ]
    table = pd.DataFrame(
        [{"source": source, **row} for row in rows], columns=list(COLUMNS), dtype=object
    )
    floats = [name for name in COLUMNS[3:] if name not in (*COUNTS, "warning")]
    return table.astype(dict.fromkeys(COUNTS, "int64") | dict.fromkeys(floats, "float64"))


def _rows_of(answers: pd.DataFrame, model: str | None) -> list[dict[str, object]]:
    """The rows of one model: each kind, then all kinds."""
    held = [kind for kind in KINDS if kind in set(answers["kind"].unique())]
    rows: list[dict[str, object]] = []
    for kind in [*held, None]:
        of_kind = answers if kind is None else answers[answers["kind"] == kind]
        sample = _Sample.of(of_kind)
        found, warning = _components(sample, across=held if kind is None else None)
        rows.append({"model": model, "kind": kind, **_facts(of_kind), **found, "warning": warning})
    return rows


def _facts(answers: pd.DataFrame) -> dict[str, float]:
    """Mean, share at 0 and counts."""
    by_list = answers.groupby("list_id")["coverage"].agg(["mean", "size"])
    return {
        "mean": float(by_list["mean"].mean()),
        "share_zero": float((by_list["mean"] == 0).mean()),
        "layers": int(answers["layer"].nunique()),
        "lists": len(by_list),
        "lists_with_two": int((by_list["size"] > 1).sum()),
        "annotations": len(answers),
        "annotators": int(answers["annotator"].nunique()),
    }


@dataclass(frozen=True, eq=False)
class _Sample:
    """Annotations with the numbers of their list, person, kind, layer and stratum."""

    values: Floats
    item: Integers
    person: Integers
    kind: Integers
    layer: Integers
    stratum: Integers

    @classmethod
    def of(cls, answers: pd.DataFrame) -> "_Sample":
        """Encode rows of annotations with their list, person, model, kind, layer and coverage."""
        ordered = answers.sort_values(["list_id", "annotator"], ignore_index=True)
        kind = pd.Categorical(ordered["kind"], categories=KINDS).codes.astype(np.int64)
        model, layer = pd.factorize(ordered["model"])[0], ordered["layer"].to_numpy()
        layers = pd.factorize(pd.Series(list(zip(model, layer, strict=True)), dtype=object))[0]
        return cls(
            ordered["coverage"].to_numpy(dtype=np.float64),
            pd.factorize(ordered["list_id"])[0],
            pd.factorize(ordered["annotator"])[0],
            kind,
            layers,
            layers * len(KINDS) + kind,
        )

    @property
    def own(self) -> Integers:
        """Groups of one person's annotations in one stratum."""
        return self.stratum * (int(self.person.max(initial=0)) + 1) + self.person


def _components(sample: _Sample, *, across: list[str] | None) -> tuple[dict[str, float], str]:
    """The four components, missing where unknown, and the warning."""
    one_list, one_person = _pooled(sample.values, sample.item), _pooled(sample.values, sample.own)
    different = _of_different(sample)
    said = []
    lists = rest = people = np.nan
    if np.isnan(different):
        lists, rest = one_person, one_list
        said.append(ONE_PERSON if len(np.unique(sample.person)) == 1 else NO_SECOND)
        if np.isnan(lists):
            said[-1] = NO_TWO_LISTS
    elif np.isnan(one_list):
        lists = different if np.isnan(one_person) else one_person
        people = different - one_person
        said.append(NO_SECOND)
    elif np.isnan(one_person):
        lists, rest = different - one_list, one_list
        said.append(NO_OWN_PAIR)
    else:
        lists, people = different - one_list, different - one_person
        rest = one_list + one_person - different
    by_kind = np.nan
    if across is not None and not np.isnan(people):
        common = _common_to_kinds(sample)
        if np.isnan(common):
            said.append(ONE_KIND if len(across) == 1 else NO_COMMON_LAYER)
        else:
            people, by_kind = common, people - max(common, 0.0)
    return _not_negative(
        {
            "between_lists": lists,
            "disagreement": rest,
            "between_people": people,
            "people_by_kind": by_kind,
        },
        said,
    )


def _not_negative(found: dict[str, float], said: list[str]) -> tuple[dict[str, float], str]:
    said = [*said, *(NEGATIVE[name] for name, value in found.items() if value < -_ROUNDING)]
    kept = {name: 0.0 if value < _ROUNDING else float(value) for name, value in found.items()}
    return kept, joined(said)


def _pooled(values: Floats, group: Integers) -> float:
    """The variance within groups, pooled; NaN where every group has one value."""
    _, group = np.unique(group, return_inverse=True)
    size = np.bincount(group)
    freedom = len(values) - len(size)
    if not freedom:
        return np.nan
    mean = np.bincount(group, values) / size
    return float(((values - mean[group]) ** 2).sum() / freedom)


def _of_different(sample: _Sample) -> float:
    """Half the mean squared difference of pairs of different lists and people of one stratum."""
    mean = np.bincount(sample.stratum, sample.values) / np.maximum(np.bincount(sample.stratum), 1)
    values = sample.values - mean[sample.stratum]  # equal differences, and less rounding
    total, pairs = _squares(values, sample.stratum)
    for group in (sample.item, sample.own):
        squares, number = _squares(values, group)
        total, pairs = total - squares, pairs - number
    return total / (2 * pairs) if pairs else np.nan


def _squares(values: Floats, group: Integers) -> tuple[float, int]:
    """The sum of squared differences of all pairs within groups, and the number of pairs."""
    _, group = np.unique(group, return_inverse=True)
    size = np.bincount(group)
    sums, squares = np.bincount(group, values), np.bincount(group, values**2)
    return float((size * squares - sums**2).sum()), int((size * (size - 1)).sum()) // 2


def _common_to_kinds(sample: _Sample) -> float:
    """The covariance that one person's annotations of two kinds of a layer have, and those of
    different people lack; NaN where there are no two such pairs.

    The difference of the mean products is taken within each layer and pair of kinds. Each weighs
    n·m / (n + m), with n pairs of one person and m of different people.
    """
    kinds, kind = np.unique(sample.kind, return_inverse=True)
    layers, people = int(sample.layer.max()) + 1, int(sample.person.max()) + 1
    mean = np.bincount(kind, sample.values) / np.bincount(kind)
    shape = (len(kinds), layers, people)
    cell = np.ravel_multi_index((kind, sample.layer, sample.person), shape)
    cells = int(np.prod(shape))
    sums = np.bincount(cell, sample.values - mean[kind], cells).reshape(shape)
    counts = np.bincount(cell, minlength=cells).reshape(shape)
    covariance, weight = 0.0, 0.0
    for one, other in combinations(range(len(kinds)), 2):
        own = (counts[one] * counts[other]).sum(axis=1).astype(np.float64)
        every = counts[one].sum(axis=1) * counts[other].sum(axis=1)
        both: Marks = (own > 0) & (every > own)
        n, m = own[both], every[both] - own[both]
        product = (sums[one] * sums[other]).sum(axis=1)[both]
        whole = (sums[one].sum(axis=1) * sums[other].sum(axis=1))[both]
        covariance += float(((product / n - (whole - product) / m) * n * m / (n + m)).sum())
        weight += float((n * m / (n + m)).sum())
    return covariance / weight if weight else np.nan
