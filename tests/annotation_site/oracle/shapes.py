"""Made-up studies of four shapes, drawn from a seed and stored as an import would store them."""

import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.review.training import study_scores_renew
from annotation_site.exports import labels_jsonl
from annotation_site.results.files.labels_export import lists_shown
from annotation_site.results.files.labels_import import labels_import
from tests.annotation_site.factories import LanguageModelFactory, make_draft, make_extraction

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Shape:
    """What a study is like.

    `lists` per layer and kind; `width` is how many value vectors a layer has; `judged` is the
    share of the places of a list that is filled, one per list in turn.
    """

    lists: int
    layers: int
    people: int
    k: int
    kinds: tuple[str, ...] = ("value", "random", "update")
    models: int = 1
    width: tuple[int, ...] = (64,)
    categories: tuple[str, ...] = ("semantic", "syntactic")
    least: int = 4
    several: bool = False
    judged: tuple[float, ...] = (1.0,)
    training: int = 0
    reference: int = 0
    repeats: float = 0.0
    finals: float = 0.0
    others: float = 0.0  # surplus and unblinded answers, each
    skips: int = 0


SHAPES = {
    "every purpose": Shape(
        lists=4, layers=12, people=5, k=3, categories=("semantic", "syntactic", "names"),
        judged=(1.0, 0.7, 0.4, 1.0, 0.0), training=2, reference=3, repeats=0.15, finals=0.15,
        others=0.06, skips=16,
    ),
    "two models": Shape(
        lists=4, layers=4, people=4, k=2, models=2, width=(64, 5), judged=(1.0, 1.0, 0.5),
        reference=2, repeats=0.1, finals=0.1, others=0.05, skips=5,
    ),
    "several patterns": Shape(
        lists=4, layers=3, people=4, k=3, models=2, width=(4, 48), least=3, several=True,
        judged=(0.9, 0.6, 0.2, 0.9), repeats=0.2, finals=0.1, others=0.05, skips=4,
    ),
    "two answers": Shape(
        lists=30, layers=2, people=2, k=2, kinds=("value", "random"), width=(40,), repeats=0.05
    ),
}  # fmt: skip
"""144, 96, 72 and 120 lists."""


@dataclass(frozen=True)
class Made:
    """A stored study."""

    study: Study
    shape: Shape
    populations: dict[tuple[str, str, int], int]
    codes: list[str]


def make(name: str, seed: int) -> Made:
    """Draw a study of a shape and store it."""
    shape = SHAPES[name]
    rng = random.Random(f"{name} {seed}")
    models = [
        LanguageModelFactory(
            name=f"model {number}", d_ff=shape.width[number], n_layers=shape.layers,
            vocabulary="word",
        )
        for number in range(shape.models)
    ]  # fmt: skip
    spare = 1 if shape.training or shape.reference else 0
    extractions = [
        make_extraction(
            layers=shape.layers, per_layer=shape.lists + spare, kinds=shape.kinds, model=model
        )
        for model in models
    ]
    study = make_draft(
        annotators=shape.people, extractions=extractions, kinds=shape.kinds,
        lists_per_layer=shape.lists, annotators_per_list=shape.k, categories=shape.categories,
        min_tokens=shape.least, several_patterns_per_token=shape.several,
        training_lists=shape.training, reference_lists=shape.reference, seed=seed,
    )  # fmt: skip
    codes = [f"p{number}" for number in range(shape.people)]
    items = list(study.items.order_by("pk").select_related("vector__extraction__model"))
    lines = [json.dumps(one) + "\n" for one in _Draw(shape, rng, codes, items).records()]
    records = labels_jsonl.read(io.BytesIO("".join(lines).encode()))
    labels_import(study=study, records=records, people={})
    study_scores_renew(study=study)
    _skip(study, rng, shape.skips)
    populations = {
        (model.name, "value", layer): model.d_ff
        for model in models
        for layer in range(shape.layers)
    }
    return Made(study, shape, populations, codes)


def _skip(study: Study, rng: random.Random, many: int) -> None:
    """Some people skip lists that they have not judged."""
    people = list(study.memberships.filter(role="annotator", user__is_active=False).order_by("pk"))
    free = [
        (person, item)
        for person in people
        for item in study.items.filter(use=Item.Use.STUDY).order_by("pk")
        if not item.assignments.filter(membership=person).exists()
    ]
    Assignment.objects.bulk_create(
        Assignment(
            membership=person, item=item, state="skipped", skip_reason="No word that I know.",
            position=9000 + number,
        )
        for number, (person, item) in enumerate(rng.sample(free, many))
    )  # fmt: skip


class _Draw:
    """Answers to a study's lists, one record after the other."""

    def __init__(
        self, shape: Shape, rng: random.Random, codes: list[str], items: list[Item]
    ) -> None:
        self.shape, self.rng, self.codes, self.items = shape, rng, codes, items
        self.shown = lists_shown(items[0].study, {item.vector_id for item in items})
        self.positions = dict.fromkeys([*codes, "boss"], 0)
        self.now = START

    def records(self) -> Iterator[dict[str, Any]]:
        """Of every purpose."""
        for number, item in enumerate(self.items):
            truth = self._truth(item)
            if item.use != Item.Use.STUDY:
                yield self._record(item, "boss", "adjudication", truth)
                for who in self.codes:
                    yield self._record(item, who, item.use, self._said(truth))
                continue
            filled = self.shape.judged[number % len(self.shape.judged)]
            who = self.rng.sample(self.codes, len(self.codes))
            count = sum(self.rng.random() < filled for _ in range(self.shape.k))
            for one in who[:count]:
                said = self._said(truth)
                unblinded = self.rng.random() < self.shape.others
                yield self._record(item, one, "annotation", said, unblinded=unblinded)
                if self.rng.random() < self.shape.repeats:
                    again = self._said(said)
                    yield self._record(item, one, "repeat", again, unblinded=unblinded)
            if who[count:] and self.rng.random() < self.shape.others:
                yield self._record(item, who[count], "annotation", self._said(truth), surplus=True)
            if self.rng.random() < self.shape.finals:
                yield self._record(item, "boss", "adjudication", self._said(truth))

    def _truth(self, item: Item) -> list[dict[str, Any]]:
        """None to four patterns; more and larger ones for value vectors, in later layers."""
        rng, length = self.rng, len(item.vector.token_ids)
        rich = {"value": 3.0, "random": 1.2, "update": 2.0}[item.vector.kind]
        many = min(4, int(rng.random() * (rich + item.vector.layer / 6)))
        ranks = rng.sample(range(1, length + 1), length)
        found = []
        for _ in range(many):
            size = rng.choice((2, 3, 4, 5, 6, 8))
            members = rng.sample(range(1, length + 1), size) if self.shape.several else ranks[:size]
            del ranks[:size]
            found.append(self._pattern(set(members)))
        return found

    def _pattern(self, ranks: set[int]) -> dict[str, Any]:
        return {
            "ranks": ranks,
            "category": self.rng.choice(self.shape.categories),
            "stopwords": self.rng.random() < 0.15,
        }

    def _said(self, truth: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What one person makes of it: patterns lost, split off, moved, and new ones."""
        rng = self.rng
        if rng.random() < 0.08:
            return []
        found = []
        for one in truth:
            if rng.random() < 0.2:
                continue
            changed = self._pattern({rank for rank in one["ranks"] if rng.random() < 0.85})
            if rng.random() < 0.8:
                changed |= {"category": one["category"], "stopwords": one["stopwords"]}
            if changed["ranks"]:
                found.append(changed)
        free = set(range(1, 31)) - set().union(*(one["ranks"] for one in found))
        if self.shape.several:
            free = set(range(1, 31))
        for one in found:
            more = set(rng.sample(sorted(free), min(len(free), rng.choice((0, 0, 1, 2)))))
            one["ranks"] |= more
            free -= set() if self.shape.several else more
        if rng.random() < 0.15 and len(free) > 5:
            found.append(self._pattern(set(rng.sample(sorted(free), rng.choice((3, 4, 5))))))
        rng.shuffle(found)
        return found

    def _record(
        self, item: Item, who: str, purpose: str, patterns: list[dict[str, Any]], **marks: bool
    ) -> dict[str, Any]:
        vector, model = item.vector, item.vector.extraction.model
        self.positions[who] += 1
        self.now += timedelta(seconds=self.rng.randrange(1, 4000))
        shown = self.shown[vector.pk]
        return {
            "schema_version": 1,
            "model": model.name,
            "model_revision": "",
            "weights_digest": model.weights_digest,
            "bundle_digest": vector.extraction.bundle_digest,
            "kind": vector.kind,
            "layer": vector.layer,
            "index": vector.index,
            "list_use": item.use,
            "annotator": who,
            "annotator_name": None,
            "role": "researcher" if who == "boss" else "annotator",
            "purpose": purpose,
            "position": self.positions[who],
            "surplus": False,
            "unblinded": who == "boss",
            "reference_score": None,
            "version": 1,
            "guidelines_version": 1,
            "opened_at": None,
            "submitted_at": self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "active_seconds": self.rng.randrange(5, 300),
            "no_pattern": not patterns,
            "comment": "",
            **{name: list(values) for name, values in shown.items() if values},
            "patterns": [
                {
                    "number": number,
                    "description": "",
                    "category": one["category"],
                    "stopwords": one["stopwords"],
                    "stopwords_proposed": False,
                    "ranks": sorted(one["ranks"]),
                }
                for number, one in enumerate(patterns, start=1)
            ],
            **marks,
        }
