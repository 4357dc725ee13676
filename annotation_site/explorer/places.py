"""Neurons of an extraction: where they are, and who may see them."""

from dataclasses import dataclass
from typing import cast

from django.utils.translation import gettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import NEURON_KINDS, hidden_from
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import NotAllowed, NotFound

IN_WORK = (Study.State.PILOT, Study.State.OPEN, Study.State.PAUSED)
"""States of studies that people annotate in, now or again."""


@dataclass(frozen=True)
class Neuron:
    """A place in a model's FFNs, as an extraction has it; layer and index from 0."""

    extraction: Extraction
    layer: int
    index: int

    @property
    def place(self) -> dict[str, int]:
        """Its layer and index, as the rows of an extraction name them."""
        return {"layer": self.layer, "index": self.index}

    @property
    def model(self) -> LanguageModel:
        """The model that it is of."""
        return cast("LanguageModel", self.extraction.model)  # a ready extraction has one


def neuron_find(*, extraction: Extraction, layer: int, index: int, user: User) -> Neuron:
    """The neuron at a place.

    Raises NotFound where the model has none, and NotAllowed for somebody who annotates one of its
    lists blind: in the same words for all of these neurons, whatever the person's role.
    """
    neuron = Neuron(extraction, layer, index)
    model = neuron.model
    if layer >= model.n_layers or index >= model.d_ff:
        raise NotFound(
            gettext(
                "This model has no neuron %(neuron)s. Choose a layer of 0 to %(layer)s and an "
                "index of 0 to %(index)s."
            )
            % {
                "neuron": f"{layer}.{index}",
                "layer": model.n_layers - 1,
                "index": f"{model.d_ff - 1:,}",
            }
        )
    if hidden_from(user).holds(
        weights=model.weights_digest, kind=NEURON_KINDS[0], layer=layer, index=index
    ):
        raise NotAllowed(
            gettext(
                "A list of this neuron belongs to an unfinished study in which you annotate. You "
                "can open this page when the study is closed."
            )
        )
    return neuron


def neighbours(neuron: Neuron) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Layer and index of the neurons before and after that the extraction has a list of."""
    before: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    for kind in NEURON_KINDS:
        found = neuron.extraction.vectors.filter(kind=kind, layer=neuron.layer)
        places = found.values_list("layer", "index")
        before += places.filter(index__lt=neuron.index).order_by("-index")[:1]
        after += places.filter(index__gt=neuron.index).order_by("index")[:1]
    return max(before, default=None), min(after, default=None)


def elsewhere(neuron: Neuron, kind: str) -> Extraction | None:
    """The newest other ready extraction of the model with this neuron's list of a kind."""
    return (
        extractions_ready()
        .filter(
            model=neuron.extraction.model_id,
            vectors__kind=kind,
            vectors__layer=neuron.layer,
            vectors__index=neuron.index,
        )
        .exclude(pk=neuron.extraction.pk)
        .order_by("-pk")
        .first()
    )
