"""The picture of a model: layers across, share of top tokens in people's concepts by category."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from django.core.cache import cache

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Item, Study
from annotation_site.annotation.selectors import studies_of
from annotation_site.corpus.models import Extraction, Kind, LanguageModel
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.explorer.estimates import LayerEstimates, layer_estimates
from annotation_site.explorer.judged import lists_annotated, studies_counted
from annotation_site.results.snapshots.versions import data_version

if TYPE_CHECKING:
    from annotation_site.explorer.shares import LayerShares

KEPT = 24 * 3600  # seconds that computed shares are kept
LOOKS = {"semantic": "semantic", "syntactic": "syntactic", "shallow": "syntactic", "names": "names"}
MORE_LOOKS = ("more-1", "more-2", "more-3", "more-4")  # of other categories, repeated
STOPWORDS = "stopwords"


@dataclass(frozen=True)
class Band:
    """A category in the picture, from the bottom up; the last one is of stopwords concepts."""

    name: str
    look: str


@dataclass(frozen=True)
class Piece:
    """A band's part of a layer's bar: its share, and its place in percent from the top."""

    band: Band
    share: float
    y: float
    height: float


@dataclass(frozen=True)
class LayerBar:
    """A layer's bar. Without lists there are no pieces, which is not a share of 0.

    `estimate` is the estimated coverage of all the layer's value vectors, `mark` its place in
    percent from the top.
    """

    layer: int
    lists: int = 0
    people: int = 0
    coverage: float | None = None
    pieces: list[Piece] = field(default_factory=list)
    estimate: float | None = None

    @property
    def mark(self) -> float | None:
        return None if self.estimate is None else round(100 - 100 * self.estimate, 2)


@dataclass(frozen=True)
class CountedStudy:
    """A study that the picture rests on; `slug` is empty unless the reader runs it."""

    title: str
    slug: str
    made_up: bool
    is_finished: bool


@dataclass(frozen=True)
class ModelPicture:
    """The picture of an extraction's value vectors for one reader.

    `elsewhere` is another extraction of the model with annotations, where this one has none.
    `estimates` are of one finished study, where the reader may see them.
    """

    extraction: Extraction
    bands: list[Band]
    layers: list[LayerBar]
    studies: list[CountedStudy]
    elsewhere: Extraction | None
    estimates: LayerEstimates | None = None

    @property
    def lists(self) -> int:
        """Lists with an annotation that counts."""
        return sum(layer.lists for layer in self.layers)

    @property
    def made_up(self) -> bool:
        """Whether annotations of it are made up."""
        return any(study.made_up for study in self.studies)


def model_picture(extraction: Extraction, user: User) -> ModelPicture:
    """The picture: of annotations of finished studies, and of begun ones that the reader runs.

    Vectors that are hidden from the reader are in no share and no count.
    """
    hidden = hidden_from(user)
    without = sorted(hidden.within(extraction).values_list("pk", flat=True))
    held = Item.objects.filter(
        vector__extraction=extraction, vector__kind=Kind.VALUE, use=Item.Use.STUDY
    ).exclude(vector__in=without)
    studies = list(
        studies_counted(user)
        .filter(pk__in=held.values("study"), list_source=Study.ListSource.TOP_TOKENS)
        .order_by("created_at", "pk")
    )
    rows = _shares(extraction, studies, without)
    if not rows:
        others = extractions_ready().filter(model=extraction.model).exclude(pk=extraction.pk)
        annotated = lists_annotated(list(others), user=user, hidden=hidden)
        found = next((one for one in others if annotated.get(one.pk)), None)
        return ModelPicture(extraction, [], [], [], found)
    bands = _bands(rows)
    of_layer = {row["layer"]: row for row in rows}
    n_layers = cast("LanguageModel", extraction.model).n_layers
    estimates = None
    # An estimate rests on all lists of its study, and tells of those that are hidden from a reader.
    if not hidden.is_about(cast("LanguageModel", extraction.model).weights_digest):
        estimates = layer_estimates(extraction, studies)
    marks = estimates.by_layer if estimates else {}
    layers = [
        replace(_bar(n, of_layer.get(n), bands), estimate=marks.get(n)) for n in range(n_layers)
    ]
    return ModelPicture(extraction, bands, layers, _named(studies, user), None, estimates)


def _shares(
    extraction: Extraction, studies: Sequence[Study], without: Sequence[int]
) -> "list[LayerShares]":
    """The shares, computed again only when an annotation behind them has changed."""
    if not studies:
        return []
    from annotation_site.explorer.shares import shares_by_layer

    versions = [(study.pk, data_version(study.pk)) for study in studies]
    rest_on = json.dumps([extraction.pk, versions, list(without)])
    key = f"picture-{hashlib.sha256(rest_on.encode()).hexdigest()}"
    found: list[LayerShares] | None = cache.get(key)
    if found is None:
        found = shares_by_layer(extraction, studies, without=without)
        cache.set(key, found, KEPT)
    return found


def _bands(rows: "Sequence[LayerShares]") -> list[Band]:
    more = 0
    bands: list[Band] = []
    for name in rows[0]["categories"]:
        look = LOOKS.get(name, "")
        if not look or look in (band.look for band in bands):
            look, more = MORE_LOOKS[more % len(MORE_LOOKS)], more + 1
        bands.append(Band(name, look))
    return [*bands, Band("", STOPWORDS)]


def _bar(layer: int, row: "LayerShares | None", bands: Sequence[Band]) -> LayerBar:
    if row is None:
        return LayerBar(layer)
    flagged = row["coverage_with_stopwords"] - row["coverage"]
    pieces, top = [], 100.0
    for band in bands:
        share = row["categories"][band.name] if band.name else flagged
        height = round(100 * share, 2)
        top -= height
        pieces.append(Piece(band, share, round(top, 2), height))
    return LayerBar(layer, row["lists"], row["people"], row["coverage"], pieces)


def _named(studies: Sequence[Study], user: User) -> list[CountedStudy]:
    own = set(
        studies_of(user).filter(pk__in=[study.pk for study in studies]).values_list("pk", flat=True)
    )
    return [
        CountedStudy(
            study.title,
            study.slug if study.pk in own else "",
            study.made_up,
            study.state in (Study.State.CLOSED, Study.State.ARCHIVED),
        )
        for study in studies
    ]
