"""The table of intervals for people like the annotators, beside those conditional on them.

The definitions and the measured coverage are in ``docs/measures.md``, "Two sources of chance".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.groups import Agreement, Grouping
from annotation_site.analysis.agreement.people import (
    RESAMPLED_AGREEMENT,
    PairsOfAnswers,
    resampled_agreement,
)
from annotation_site.analysis.agreement.resampling import resampled_values
from annotation_site.analysis.controls import compared
from annotation_site.analysis.coverage import AnnotationFrames, annotation_coverage, ordered_lists
from annotation_site.analysis.intervals import SEED
from annotation_site.analysis.strata import (
    ALL_VECTORS,
    FEW_PER_STRATUM_RESAMPLED,
    NOTHING_KNOWN,
    STRATA,
    WHOLE_RANGE,
    Floats,
    Marks,
    Populations,
    Strata,
    joined,
)
from annotation_site.analysis.stratified import cut_bounds
from annotation_site.analysis.stratum_sums import Estimate, StratumSums, weighted_means
from annotation_site.analysis.two_way import (
    FEW_PEOPLE,
    FEWEST_EQUAL_PEOPLE,
    FEWEST_PEOPLE,
    PEOPLE_RESAMPLES,
    Answers,
    people_draws,
    resampled_differences,
    resampled_means,
    two_way_half_widths,
)

COVERAGE, DIFFERENCE, AGREEMENT = "coverage", "difference", "agreement"
OTHER_PEOPLE_ALONE = "all vectors of this kind were taken: the interval is of other people alone"
NONE_FOR = "no interval for people like these: "
UNDEFINED = "no interval for people like these: the value is undefined"
NO_PAIRS = "no interval for people like these: no list has annotations by two people"
NOWHERE = "no interval: undefined in every resample"
_SHARES = ("coverage", "coverage_with_stopwords")
Weights = Callable[[pd.DataFrame], Floats]
"""The weight of each stratum, from rows of ``kind``, ``layer`` and ``size``."""
Resampled = Callable[[Floats], Floats]
"""Values in every resample, shape (columns, resamples), from draws of people."""
_COLUMNS = ("of", "model", "kind", "measure", "value", "low", "high", "people", "lists", "warning")


@dataclass(frozen=True)
class Setting:
    """How people are resampled, and which annotators are no people, with the reason."""

    populations: Populations = NOTHING_KNOWN
    resamples: int = PEOPLE_RESAMPLES
    seed: int = SEED
    no_people: Mapping[str, str] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        return min(self.resamples, PEOPLE_RESAMPLES)


def people_intervals(
    labels: AnnotationFrames,
    agreement: Agreement,
    *,
    min_tokens: int,
    categories: Sequence[str],
    setting: Setting,
) -> pd.DataFrame:
    """Tabulate intervals for people like the annotators.

    Parameters
    ----------
    labels
        The annotations that coverage uses.
    agreement
        Of people's annotations.
    min_tokens, categories
        As for `list_coverage`.
    setting
        How people are resampled: `PEOPLE_RESAMPLES` times at most, not at all with 0 resamples.

    Returns
    -------
    DataFrame
        Rows of coverage by model, kind and measure (without and with stopwords concepts, each
        category), of the difference of each model's kind and its control, and of the agreement of
        each model and of all together: ``of``, ``model`` (missing: all), ``kind`` (missing where
        a row has several), ``measure``, ``value``, ``low``, ``high`` (95%; missing where
        ``warning`` says why), ``people``, ``lists``, ``warning``.
    """
    rows = [*_coverage_rows(labels, min_tokens, categories, setting)]
    rows += _agreement_rows(agreement, setting)
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.astype({"value": float, "low": float, "high": float, "people": int, "lists": int})


def _row(of: str, model: object, kind: object, lists: int) -> dict[str, object]:
    nothing = {"value": np.nan, "low": np.nan, "high": np.nan, "people": 0, "warning": ""}
    return {"of": of, "model": model, "kind": kind, "lists": lists, **nothing}


def people_reason(people: int, equal: float) -> str:
    """Why so many people, who amount to `equal` people of equal shares, give no interval; or ""."""
    if people < FEWEST_PEOPLE:
        counted = "1 person" if people == 1 else f"{people} people"
        return f"{NONE_FOR}{counted}, at least {FEWEST_PEOPLE} are needed"
    if equal < FEWEST_EQUAL_PEOPLE:
        return (
            f"{NONE_FOR}few people gave most of the annotations (they count like {equal:.1f} "
            f"people, at least {FEWEST_EQUAL_PEOPLE:.0f} are needed)"
        )
    return ""


def _few(people: int) -> str:
    return f"fewer than {FEW_PEOPLE} people" if people < FEW_PEOPLE else ""


# Coverage, and the difference of two kinds.


def _coverage_rows(
    labels: AnnotationFrames, min_tokens: int, categories: Sequence[str], setting: Setting
) -> Iterator[dict[str, object]]:
    values = annotation_coverage(labels, min_tokens=min_tokens)
    measures = [*_SHARES, *categories]
    values = values.reindex(columns=["list_id", "annotator", *measures]).fillna(0.0)
    lists = ordered_lists(labels)
    lists = lists[lists["list_id"].isin(values["list_id"])].reset_index(drop=True)
    for model, of_model in lists.groupby("model", sort=True):
        for kind, of_kind in of_model.groupby("kind", observed=True):
            sample = _Sample.of(values, of_kind, measures, setting)
            yield from sample.rows(_row(COVERAGE, model, str(kind), len(of_kind)))
        first, second = compared(of_model["kind"].astype(str))
        both = of_model[of_model["kind"].isin([first, second])]
        kinds = both.groupby("layer")["kind"].nunique()
        both = both[both["layer"].isin(kinds.index[kinds == 2])]
        if len(both):
            chosen = list(_SHARES)[: 1 if first == "key" else 2]
            sample = _Sample.of(values, both, chosen, setting)
            study = labels.lists[labels.lists["kind"].isin([first, second])]
            held = study.loc[study["model"] == model, "layer"].value_counts().astype(float)
            yield from sample.differences(_row(DIFFERENCE, model, None, len(both)), first, held)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Annotations of some lists, which are ordered by model, kind and layer."""

    answers: Answers
    names: tuple[object, ...]
    lists: pd.DataFrame
    measures: Sequence[str]
    setting: Setting

    @classmethod
    def of(
        cls, values: pd.DataFrame, lists: pd.DataFrame, measures: Sequence[str], setting: Setting
    ) -> "_Sample":
        """Take the annotations (rows of `measures`) of these lists, which have a row each."""
        place = pd.Index(lists["list_id"]).get_indexer(values["list_id"])
        values = values[place >= 0]
        person, names = pd.factorize(values["annotator"], sort=True)
        answers = Answers(
            person.astype(np.int64),
            place[place >= 0].astype(np.int64),
            values[list(measures)].to_numpy(dtype=np.float64),
        )
        return cls(answers, tuple(names), lists.reset_index(drop=True), measures, setting)

    def rows(self, row: dict[str, object]) -> Iterator[dict[str, object]]:
        """Of the mean of each measure."""
        estimate = self._estimate(lambda keys: (keys["size"] / keys["size"].sum()).to_numpy())
        yield from self._filled(row, estimate, lambda draws: resampled_means(self.answers, draws))

    def differences(
        self, row: dict[str, object], first: str, held: "pd.Series[float]"
    ) -> Iterator[dict[str, object]]:
        """Of the difference of each measure; `held` are the weights of layers."""
        layers, layer = np.unique(self.lists["layer"].to_numpy(), return_inverse=True)
        weights: Floats = np.asarray(held.loc[layers], dtype=np.float64)
        is_first = (self.lists["kind"] == first).to_numpy().astype(np.int64)

        def signed(keys: pd.DataFrame) -> Floats:
            sign = np.where(keys["kind"] == first, 1.0, -1.0)
            return np.asarray(sign * held.loc[keys["layer"]].to_numpy() / weights.sum())

        def resampled(draws: Floats) -> Floats:
            return resampled_differences(
                self.answers, draws, is_first=is_first, layer=layer, held=weights
            )

        yield from self._filled(row, self._estimate(signed), resampled, least=-1.0)

    def _estimate(self, weights_of: Weights) -> Estimate:
        """The value, and the variance between lists."""
        (means,) = self.answers.resampled_lists(np.ones((self.answers.people, 1)))
        grouped = self.lists.groupby(list(STRATA), observed=True)
        keys = grouped.size().reset_index(name="size")
        size = keys["size"].to_numpy(dtype=np.int64)
        strata = Strata.of(keys[list(STRATA)], size, self.setting.populations)
        stratum = grouped.ngroup().to_numpy(dtype=np.int64)
        values = means[:, :, 0]
        center = np.zeros((len(size), values.shape[1]))
        np.add.at(center, stratum, values)
        sums = StratumSums.of(values, stratum, center / size[:, None])
        return weighted_means(sums, strata, weights_of(keys))

    def _filled(
        self,
        row: dict[str, object],
        estimate: Estimate,
        resampled: Resampled,
        *,
        least: float = 0.0,
    ) -> Iterator[dict[str, object]]:
        people, equal = len(self.names), self.answers.equal_people
        reason = self._reason(people, equal)
        reasons = [
            joined([reason, one]) if reason or one != ALL_VECTORS else ""
            for one in estimate.reasons
        ]
        half = np.full(len(reasons), np.nan)
        undefined = 0
        if self.setting.draws and not all(reasons):
            draws = people_draws(people, resamples=self.setting.draws, seed=self.setting.seed)
            values = resampled(draws)
            undefined = int(np.isnan(values[0]).sum())
            half = two_way_half_widths(estimate.variances, estimate.freedom, values, equal)
        alone = OTHER_PEOPLE_ALONE if estimate.reasons[0] == ALL_VECTORS else ""
        said = [alone, _few(people), *estimate.warnings, _undefined(undefined, self.setting.draws)]
        for column, measure in enumerate(self.measures):
            found = {**row, "measure": measure, "people": people, "value": estimate.value[column]}
            yield found | _bounds(
                float(estimate.value[column]), half[column], reasons[column], said, least=least,
                wanted=self.setting.draws > 0,
            )  # fmt: skip

    def _reason(self, people: int, equal: float) -> str:
        return _no_people(self.names, self.setting) or people_reason(people, equal)


def _no_people(names: Sequence[object], setting: Setting) -> str:
    return next((setting.no_people[str(n)] for n in names if str(n) in setting.no_people), "")


def _undefined(count: int, resamples: int) -> str:
    if not count:
        return ""
    return (
        f"undefined in {count:,} of {resamples:,} resamples, which the interval leaves out"
        if count < resamples
        else ""
    )


def _bounds(
    value: float, half: float, reason: str, said: Sequence[str], *, least: float, wanted: bool
) -> dict[str, object]:
    """Low, high and warning of a row."""
    if not wanted:
        return {}
    if not reason and np.isnan(half):
        reason = NOWHERE
    if reason:
        return {"warning": reason}
    low, high = cut_bounds(value, half, least=least, most=1.0)
    whole = WHOLE_RANGE if (low, high) == (least, 1.0) else ""
    return {"low": low, "high": high, "warning": joined([whole, *said])}


# Agreement.


def _agreement_rows(agreement: Agreement, setting: Setting) -> Iterator[dict[str, object]]:
    """Of each model, then of all together where there are several."""
    lists = agreement.lists
    names = [name for name in RESAMPLED_AGREEMENT if name in agreement.measures]
    alone = replace(
        agreement,
        annotations={None: agreement.annotations[None]},
        measures={name: agreement.measures[name] for name in names},
    )
    models = sorted(lists["model"].unique())
    groupings = [Grouping.of(alone, ("model",))]
    if len(models) > 1:
        groupings.append(Grouping.of(alone, ()))
    groups = [(place, row) for place, one in enumerate(groupings) for row in range(len(one.keys))]
    whom = [[*models, None][place * len(models) + row] for place, row in groups]
    pairs = PairsOfAnswers.of(alone.annotations[None])
    samples = [pairs.taking(groupings[place].codes == row) for place, row in groups]
    reasons = [_reason_of(one, setting) for one in samples]
    drawn = alone.drawn(setting.populations)
    cells = len(names)
    wanted = [
        [
            cells * row + column
            for (at, row), reason in zip(groups, reasons, strict=True)
            if at == place and not reason and setting.draws
            for column in range(cells)
        ]
        for place in range(len(groupings))
    ]
    of_lists = resampled_values(alone, groupings, drawn, setting.draws, setting.seed, wanted)
    for number, (place, row) in enumerate(groups):
        sample = samples[number]
        inside = groupings[place].members(drawn.rows, drawn.units, drawn.stratum)[row]
        base = _row(AGREEMENT, whom[number], None, 0) | {"people": len(sample.names)}
        known = resampled_agreement(sample, np.ones((max(len(sample.names), 1), 1)))
        draws = None
        if setting.draws and not reasons[number]:
            draws = people_draws(len(sample.names), resamples=setting.draws, seed=setting.seed)
        of_people = {} if draws is None else resampled_agreement(sample, draws)
        for column, name in enumerate(names):
            value = float(known[name][0])
            found = {**base, "measure": name, "value": value, "lists": sample.lists(name)}
            if draws is None or np.isnan(value):
                reason = reasons[number] or UNDEFINED
                yield {**found, "warning": reason if setting.draws else ""}
                continue
            yield found | _agreement_bounds(
                value,
                of_lists[place][cells * row + column],
                of_people[name],
                drawn.strata,
                inside,
                sample,
                name,
                setting,
            )


def _agreement_bounds(
    value: float,
    of_lists: Floats,
    of_people: Floats,
    strata: Strata,
    inside: Marks,
    sample: PairsOfAnswers,
    measure: str,
    setting: Setting,
) -> dict[str, object]:
    lists = sample.lists(measure)
    reason, warnings = strata.judged(inside, lists=lists, few=FEW_PER_STRATUM_RESAMPLED)
    alone = reason == ALL_VECTORS
    varying = inside & ~strata.whole
    freedom = int(strata.size[varying].sum()) - len(np.unique(strata.pools[varying]))
    there = of_lists[~np.isnan(of_lists)]
    spread = np.zeros((0, 1))
    if len(there) > 1 and freedom > 0:
        spread = np.array([[there.var(ddof=1)]])
    half = two_way_half_widths(
        spread, np.full(len(spread), freedom), of_people[None, :], sample.equal_people
    )
    undefined = int(np.isnan(of_people).sum())
    said = [OTHER_PEOPLE_ALONE if alone else "", _few(len(sample.names)), *warnings]
    said.append(_undefined(undefined, setting.draws))
    least = -1.0 if measure == "krippendorff_alpha_concept" else 0.0
    return _bounds(value, half[0], "" if alone else reason, said, least=least, wanted=True)


def _reason_of(pairs: PairsOfAnswers, setting: Setting) -> str:
    if not pairs.names:
        return NO_PAIRS
    return _no_people(pairs.names, setting) or people_reason(len(pairs.names), pairs.equal_people)
