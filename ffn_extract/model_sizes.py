"""Sizes of a model from its outline, by the rules of an extraction; importable without torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ffn_extract.architectures import family_of
from ffn_extract.architectures.companions import (
    require_alone,
    require_unadapted,
    require_unquantised,
)
from ffn_extract.architectures.declaration import FFN, NEVER_NEGATIVE, Architecture
from ffn_extract.architectures.heads import choose_unembedding
from ffn_extract.architectures.layers import find_layers
from ffn_extract.architectures.naming import find_prefix, name_on_disk
from ffn_extract.architectures.settings import settings_for, size_of, width_of
from ffn_extract.checkpoints.outline import Outline
from ffn_extract.errors import ArchitectureError
from ffn_extract.limits import MOST_EXPERTS, MOST_LAYERS, MOST_VOCABULARY
from ffn_extract.options import ExtractOptions

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model: `values` counts the value vectors of each layer, 0 for unread layers."""

    d_model: int
    vocab_size: int
    values: tuple[int, ...]
    signed: bool

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.values)

    @property
    def n_read(self) -> int:
        """Number of layers that are read."""
        return sum(1 for n in self.values if n)


def sizes_of(outline: Outline, options: ExtractOptions) -> Sizes:
    """The sizes of a model; by config.json alone if no file gives the tensors' shapes.

    Raises ArchitectureError where its family is not known, or the tensors are not those that an
    extraction would read.
    """
    found = family_of(outline.config, options, outline.shapes)
    settings = settings_for(found.architecture, found.config)
    if not outline.shapes:
        return _by_config(found.architecture, settings)
    return _Measured(found.architecture, found.config, outline, options).sizes()


def _by_config(family: Architecture, settings: Mapping[str, Any]) -> Sizes:
    d_model = size_of(settings, family.d_model_keys or ("hidden_size",))
    ffn = family.ffns[0]
    one_layer = sum(_count(one, settings, d_model, {}, "") for one in _chain(ffn))
    n_layers = size_of(settings, family.layers_keys or ("num_hidden_layers",), MOST_LAYERS)
    signed = _signed(family, settings, gated=ffn.up is not None)
    vocab_size = size_of(settings, ("vocab_size",), MOST_VOCABULARY)
    return Sizes(d_model, vocab_size, (one_layer,) * n_layers, signed)


class _Measured:
    """A family's declaration beside the shapes of a file's tensors."""

    def __init__(
        self,
        family: Architecture,
        config: Mapping[str, Any],
        outline: Outline,
        options: ExtractOptions,
    ) -> None:
        self.family, self.config, self.options = family, config, options
        self.shapes, self.unreadable = outline.shapes, outline.unreadable
        self.settings = settings_for(family, config)
        self.names = frozenset(outline.shapes)

    def sizes(self) -> Sizes:
        """The sizes that an extraction would read. Raises ArchitectureError as that would."""
        family, options = self.family, self.options
        require_unadapted(self.names)
        prefix = find_prefix(family, self.names)
        rows, width = self._unembedding(prefix)
        d_model = size_of(self.settings, family.d_model_keys) if family.d_model_keys else width
        self._require_plain(name_on_disk(prefix, family.ffns[0].value, 0))
        layers = find_layers(
            family, self.settings, self.names, prefix, allow_fewer=options.allow_fewer_layers
        )
        values = [0] * layers.total
        gated = False
        for layer in layers.read:
            form = self._form(prefix, layer)
            gated = gated or form.up is not None
            for ffn in _chain(form):
                self._require_matrices(ffn, prefix, layer, layers.total)
                name = name_on_disk(prefix, ffn.value, layer)
                values[layer] += _count(ffn, self.settings, d_model, self.shapes, name)
        return Sizes(d_model, rows, tuple(values), _signed(family, self.settings, gated=gated))

    def _unembedding(self, prefix: str) -> tuple[int, int]:
        """Rows and width of the unembedding."""
        family, options = self.family, self.options
        name, _ = choose_unembedding(
            family,
            self.config,
            self.names,
            prefix,
            head=family.masked_head if options.through_head else None,
            named=options.unembedding_tensor,
        )
        if name not in self.shapes:
            raise ArchitectureError(
                f"The weights have no {name}, which a {family.model_type} model needs."
            )
        self._require_plain(name)
        shape = self.shapes[name]
        if len(shape) != 2:
            raise ArchitectureError(
                f"The unembedding {name} has shape {shape}; it should be a matrix with a row for "
                "each token."
            )
        return shape[0], shape[1]

    def _require_matrices(self, ffn: FFN, prefix: str, layer: int, n_layers: int) -> None:
        """Refuse an FFN of which the file lacks a matrix, or that something else changes."""
        for expert in range(_experts(ffn, self.settings)):
            for matrix in (ffn.key, ffn.value, ffn.up):
                if matrix is None:
                    continue
                name = name_on_disk(prefix, matrix, layer, expert)
                self._require_plain(name)
                if name not in self.names:
                    raise ArchitectureError(
                        f"The weights have no {name}, which a {self.family.model_type} model of "
                        f"{n_layers} layers needs."
                    )

    def _require_plain(self, name: str) -> None:
        require_unquantised(name, self.names, self.config, self.unreadable.get(name))
        if name in self.names:
            require_alone(name, self.names)

    def _form(self, prefix: str, layer: int) -> FFN:
        """The form that a layer's FFN has."""
        ffns = self.family.ffns
        present = (f for f in ffns if name_on_disk(prefix, f.mark, layer) in self.names)
        return next(present, ffns[0])


def _chain(ffn: FFN | None) -> Iterator[FFN]:
    """An FFN and those whose vectors are numbered after its own."""
    while ffn is not None:
        yield ffn
        ffn = ffn.then


def _count(ffn: FFN, settings: Mapping[str, Any], d_model: int, shapes: Shapes, name: str) -> int:
    """How many value vectors an FFN has, all experts together; `name` is its value tensor's."""
    experts = _experts(ffn, settings)
    said = width_of(ffn, settings, d_model)
    if said is not None:
        return experts * said
    if name not in shapes:
        raise ArchitectureError(f"The weights have no {name}. Look up the tensor's name.")
    return experts * shapes[name][-2 if ffn.value.orientation == "row" else -1]


def _experts(ffn: FFN, settings: Mapping[str, Any]) -> int:
    return size_of(settings, ffn.experts_keys, MOST_EXPERTS) if ffn.experts_keys else 1


def _signed(family: Architecture, settings: Mapping[str, Any], *, gated: bool) -> bool:
    activation = settings.get(family.activation_key, family.default_activation)
    return gated or str(activation) not in NEVER_NEGATIVE
