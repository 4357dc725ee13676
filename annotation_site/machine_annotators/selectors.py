"""Queries of language models as annotators: a study's runs, their lists and exchanges."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site.annotation.models import Item, Study
from annotation_site.annotation.studies.of_sets import of_set
from annotation_site.corpus.censuses import (
    candidates,
    name_of,
    ready_of,
    sizes_of_lists,
    with_lists,
)
from annotation_site.corpus.models import Extraction, Kind, Vector
from annotation_site.errors import Invalid
from annotation_site.machine_annotators.messages import Task
from annotation_site.machine_annotators.models import UNFINISHED, MachineExchange, MachineRun
from annotation_site.machine_annotators.models import MachineSpending as Spending
from annotation_site.sentences import Sentence

BUDGET_DAYS = 30
NO_CENSUS = gettext_noop(
    "There is no list of every value vector of %(model)s. Extract the model with the same options "
    "and “all” vectors per layer (--per-layer all), or let the language model annotate the "
    "study’s lists only."
)


def runs_of_study(study: Study) -> QuerySet[MachineRun]:
    """A study's runs, the newest first."""
    return MachineRun.objects.filter(study=study).select_related("requested_by")


def ready_runs(study: Study) -> QuerySet[MachineRun]:
    """A study's runs that tables and files use, in the order of their names. One query of its own.

    They are ready, and were made under the rules that the study has now: lists that were judged
    under other rules are other lists. A restored run has no rules but the study's.
    """
    ready = MachineRun.objects.filter(study=study, state=MachineRun.State.READY)
    rules = rules_of(study)
    known = ready.values_list("pk", "rules")
    return ready.exclude(pk__in=[pk for pk, own in known if own and own != rules]).order_by("name")


def exchanges_of(run: MachineRun) -> QuerySet[MachineExchange]:
    """The requests of a run that are still kept, with their replies, in the order of sending."""
    return MachineExchange.objects.filter(run=run).select_related("vector").order_by("pk")


def rules_of(study: Study) -> dict[str, Any]:
    """The rules of a study that decide what a model is asked and what its reply may say."""
    return {
        "categories": list(study.categories),
        "min_tokens": study.min_tokens,
        "several_patterns_per_token": study.several_patterns_per_token,
        "list_source": study.list_source,
        "gloss_rule": study.shown_gloss_rule,
    }


def task_of(rules: dict[str, Any], *, prompt: str, guidelines: str) -> Task:
    """The texts and rules that a model is sent besides a list's entries."""
    return Task(
        prompt=prompt,
        guidelines=guidelines,
        categories=tuple(rules["categories"]),
        min_tokens=rules["min_tokens"],
        several_patterns_per_token=rules["several_patterns_per_token"],
        list_source=rules["list_source"],
    )


def vectors_covered(study: Study, covers: str) -> QuerySet[Vector]:
    """The vectors whose lists a run covers.

    The study's own lists; and for `Covers.VECTORS` those of every value vector of its models too,
    of a study of a set every one of the set. Raises Invalid with what to do where one is missing.
    """
    own = Q(pk__in=Item.objects.filter(study=study, use=Item.Use.STUDY).values("vector"))
    if covers == MachineRun.Covers.LISTS:
        return Vector.objects.filter(own)
    if study.list_source != Study.ListSource.TOP_TOKENS or Kind.VALUE not in study.kinds:
        raise Invalid(
            gettext(
                "The study has no lists of value vectors. Let the language model annotate the "
                "study’s lists only."
            )
        )
    values = Vector.objects.filter(kind=Kind.VALUE, extraction__in=census_extractions(study))
    every = of_set(values, study.drawn_from)
    return Vector.objects.filter(own | Q(pk__in=every.values("pk")))


def census_extractions(study: Study) -> list[Extraction]:
    """For each of a study's models, an extraction with the list of every value vector.

    Its own where that has them, else another of the same weights and options. Raises Invalid, with
    what to do, where a model has none.
    """
    own = list(study.extractions.select_related("model").order_by("pk"))
    here = list(ready_of({one.model.weights_digest for one in own if one.model}))
    return [_census(one, here) for one in own]


def _census(extraction: Extraction, here: Iterable[Extraction]) -> Extraction:
    refused = Invalid(Sentence(NO_CENSUS, model=name_of(extraction)))
    for one in with_lists(candidates(extraction, here)):
        try:
            sizes_of_lists(one)
        except Invalid as error:
            refused = error
        else:
            return one
    raise refused


def vectors_left(run: MachineRun) -> QuerySet[Vector]:
    """The vectors whose lists a run has neither annotated nor given up."""
    done = run.annotations.values("vector")
    covered = vectors_covered(run.study, run.covers)
    return covered.filter(extraction__state=Extraction.State.READY).exclude(pk__in=done)


def in_order(study: Study, run: str, vectors: Iterable[int]) -> list[int]:
    """Vectors in the order in which a run asks: shuffled by the study's secret and the run.

    So the order tells nothing of kinds and layers, and a run that continues goes on in it.
    """
    secret = f"{study.order_key}:{run}:"
    return sorted(vectors, key=lambda pk: hashlib.sha256(f"{secret}{pk}".encode()).digest())


def spent_lately(currency: str) -> Decimal:
    """The cost of the last BUDGET_DAYS days, of all runs, deleted ones too, in a currency."""
    since = (timezone.now() - timedelta(days=BUDGET_DAYS)).date()
    rows = Spending.objects.filter(currency=currency, day__gte=since)
    return rows.aggregate(cost=Sum("cost"))["cost"] or Decimal(0)


def reserved(currency: str) -> Decimal:
    """The cost that unfinished runs may still have, in a currency."""
    rows = MachineRun.objects.filter(
        currency=currency, state__in=UNFINISHED, most_cost__gt=F("cost")
    )
    return rows.aggregate(left=Sum(F("most_cost") - F("cost")))["left"] or Decimal(0)
