"""What the tables say of people: their answers, their time, their references."""

from collections import defaultdict
from fractions import Fraction
from statistics import median
from typing import Any

from tests.annotation_site.oracle.agreement import Agreement, Judged, percent
from tests.annotation_site.oracle.coverage import Rows, mean, of_answer
from tests.annotation_site.oracle.patterns import compare
from tests.annotation_site.oracle.records import Said, Study

COMPARED = ("percent_agreement_concept", "krippendorff_alpha_concept", "mean_matched_jaccard")
STEP = 5


def people(study: Study, pairs: Rows) -> Rows:
    """`people`; `pairs` is `agreement_of_pairs`."""
    own: dict[str, list[Said]] = defaultdict(list)
    for said in study.counted:
        own[said.who].append(said)
    found: Rows = {}
    for who, answers in own.items():
        each = [of_answer(one, study.choice.min_tokens, ()) for one in answers]
        found[who,] = {
            "annotations": len(answers),
            "no_pattern": sum(not one.patterns for one in answers),
            "coverage": mean([one["coverage"] for one in each]),
            "concepts": mean([one["concepts_per_list"] for one in each]),
            "median_seconds": median(Fraction(one.seconds) for one in answers),
        }
        for measure in COMPARED:
            rows = [
                row
                for (p, q, name), row in pairs.items()
                if name == measure and who in (p, q) and row["value"] is not None
            ]
            n = sum(row["n"] for row in rows)
            total = sum((row["value"] * row["n"] for row in rows), Fraction(0))
            found[who,][measure] = total / n if n else None
    return found


def references(study: Study, least: int) -> Rows:
    """`reference`: overlap with the reference answer, `least` being the study's own minimum."""
    final = {one.shown.number: one for one in study.answers if one.purpose == "adjudication"}
    scores: dict[tuple[Any, ...], list[Fraction]] = defaultdict(list)
    for said in study.answers:
        if said.purpose in ("training", "reference") and not said.unblinded:
            known = final[said.shown.number].qualifying(least)
            overlap = compare(said.qualifying(least), known, said.shown.length).overlap
            scores[said.who, said.purpose].append(Fraction(1) if overlap is None else overlap)
    return {
        key: {"lists": len(own), "mean_score": mean(own), "lowest": min(own)}
        for key, own in scores.items()
    }


def time_per_list(study: Study) -> Rows:
    """`time_per_list`: the median and the middle half."""
    seconds: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for said in study.counted:
        seconds[said.shown.model, said.shown.kind].append(said.seconds)
    return {
        key: {
            "annotations": len(own),
            "low": quantile(own, Fraction(1, 4)),
            "median_seconds": quantile(own, Fraction(1, 2)),
            "high": quantile(own, Fraction(3, 4)),
        }
        for key, own in seconds.items()
    }


def quantile(values: list[int], share: Fraction) -> Fraction:
    """Between the two values that stand around it, in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    before = int(place)
    after = min(before + 1, len(ordered) - 1)
    return ordered[before] + (place - before) * (ordered[after] - ordered[before])


def learning_curve(study: Study, agreement: Agreement) -> Rows:
    """`learning_curve`, by the order in which each person submitted."""
    order: dict[str, int] = defaultdict(int)
    steps: dict[int, list[Said]] = defaultdict(list)
    for said in sorted(study.counted, key=lambda one: one.at):
        steps[order[said.who] // STEP].append(said)
        order[said.who] += 1
    found: Rows = {}
    for step, answers in steps.items():
        values = [_agreement(agreement.whole[one.shown.number]) for one in answers]
        known = [one for one in values if one is not None]
        found[step * STEP + 1, (step + 1) * STEP] = {
            "annotations": len(answers),
            "median_seconds": median(Fraction(one.seconds) for one in answers),
            "percent_agreement_concept": mean(known),
        }
    return found


def _agreement(one: Judged) -> Fraction | None:
    return percent([one.labels("concept")])[0] if len(one.answers) > 1 else None
