"""A family's declaration applied to a checkpoint: checked names and shapes, lazy rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures.companions import require_alone, require_unadapted
from ffn_extract.architectures.declaration import (
    FFN,
    NEVER_NEGATIVE,
    Architecture,
    Matrix,
    NormNames,
)
from ffn_extract.architectures.layers import find_layers
from ffn_extract.architectures.naming import find_prefix, matrices_of
from ffn_extract.architectures.quantised import report_plain, require_plain, require_readable
from ffn_extract.architectures.settings import settings_for, size_of, width_of
from ffn_extract.architectures.stored import (
    StoredRows,
    StoredVectors,
    read_vector,
    require_present,
)
from ffn_extract.architectures.unembedding import find_unembedding, masked_head_tensors
from ffn_extract.checkpoints.tensor_files import TensorFiles, first_present
from ffn_extract.errors import ArchitectureError
from ffn_extract.norms import Norm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dimensions:
    """Sizes of a model; `d_ff` is the largest number of value vectors that a layer has."""

    n_layers: int
    d_model: int
    d_ff: int
    vocab_size: int


@dataclass(frozen=True)
class _Block:
    """The matrices of an FFN or of one expert; its first vector has the index `start`."""

    start: int
    key: StoredVectors | None
    value: StoredVectors
    up: StoredVectors | None

    @property
    def matrices(self) -> list[StoredVectors]:
        return [m for m in (self.key, self.value, self.up) if m is not None]


class ModelWeights:
    """Value vectors, unembedding and norms of one checkpoint, read on request.

    `through_head` leads an encoder's vectors to the unembedding through its masked-LM head;
    `unembedding` names another tensor than the family's. `layers` are the numbers of those that are
    read: all, unless `allow_fewer_layers` lets the file lack some.

    Raises
    ------
    ArchitectureError
        On construction, when a tensor is missing or has another shape than the family's.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: Mapping[str, Any],
        files: TensorFiles,
        *,
        through_head: bool = False,
        unembedding: str | None = None,
        allow_fewer_layers: bool = False,
    ) -> None:
        self.architecture = architecture
        self._config = settings_for(architecture, config)
        self._require_only()
        self._files = files
        require_unadapted(files.names)
        self._prefix = find_prefix(architecture, files.names)
        keys = architecture.d_model_keys
        known = self._size(keys) if keys else None
        found = find_unembedding(
            architecture,
            config,
            files,
            self._prefix,
            known,
            through_head=through_head,
            named=unembedding,
        )
        self.unembedding, self._maps, self.chosen = found.rows, found.maps, found.chosen
        """`chosen` tells how the unembedding was found."""
        d_model = known or self.unembedding.shape[1]
        for matrix in matrices_of(architecture.ffns[:1]):
            if self._name(matrix, 0, 0) not in files.names:
                require_plain(files, self._name(matrix, 0, 0), config)
        layers = find_layers(
            architecture, self._config, files.names, self._prefix, allow_fewer=allow_fewer_layers
        )
        self.layers, self._n_layers = layers.read, layers.total
        self._layers: list[list[_Block]] = [[] for _ in range(self._n_layers)]
        for layer in self.layers:
            self._layers[layer] = list(self._blocks(layer, d_model))
        self._require_plain(config)
        self.dimensions = Dimensions(
            n_layers=self._n_layers,
            d_model=d_model,
            d_ff=max(self.n_values(layer) for layer in range(self._n_layers)),
            vocab_size=self.unembedding.shape[0],
        )

    @property
    def signed(self) -> bool:
        """Whether coefficients can be negative, so that a list's lowest scores have a meaning."""
        family = self.architecture
        gated = any(block.up is not None for blocks in self._layers for block in blocks)
        activation = self._config.get(family.activation_key, family.default_activation)
        return gated or str(activation) not in NEVER_NEGATIVE

    def is_gated(self, layer: int) -> bool:
        """Whether the coefficients of a layer have two factors, one of them the gate's."""
        return any(block.up is not None for block in self._layers[layer])

    def has_experts(self, layer: int) -> bool:
        """Whether a layer's FFN has more than one part."""
        return len(self._layers[layer]) > 1

    def n_values(self, layer: int) -> int:
        """The number of value vectors of a layer, all experts together; 0 if it is not read."""
        if not self._layers[layer]:
            return 0
        last = self._layers[layer][-1]
        return last.start + last.value.n

    def has_keys(self, layer: int) -> bool:
        """Whether every value vector of a layer has a key that is known."""
        return all(block.key is not None for block in self._layers[layer])

    def key_rows(self, layer: int, start: int, stop: int) -> torch.Tensor:
        """Key vectors start..stop of a layer, shape (stop - start, d_model).

        Raises ArchitectureError for a family that was described without its key matrix.
        """
        keys = [(b.start, b.key) for b in self._layers[layer] if b.key is not None]
        if not self.has_keys(layer):
            raise ArchitectureError("The key matrix is not known; name it with --key-tensor.")
        return _read(keys, start, stop)

    def up_rows(self, layer: int, start: int, stop: int) -> torch.Tensor:
        """The keys' partners start..stop in a gated FFN, shape (stop - start, d_model)."""
        ups = [(b.start, b.up) for b in self._layers[layer] if b.up is not None]
        return _read(ups, start, stop)

    def value_rows(self, layer: int, start: int, stop: int) -> torch.Tensor:
        """Value vectors start..stop of a layer, shape (stop - start, d_model)."""
        return _read([(b.start, b.value) for b in self._layers[layer]], start, stop)

    def norm(self, layer: int) -> Norm:
        """The norm between `layer`'s FFN (or the last layer's output) and the unembedding."""
        names, after = self.architecture.norm, self.architecture.after_ffn
        if names is None:
            raise ArchitectureError(
                "The projections fold and norm need the norm before the unembedding, which is not "
                "known for this model. Use the projection raw."
            )
        bias = self._norm_name(names.bias, layer)
        return Norm(
            kind=names.kind,
            gain=self._gain(names, layer),
            bias=None if bias is None else self._vector(bias),
            epsilon=float(self._config.get(names.epsilon_key, names.default_epsilon)),
            gain_after_ffn=None if after is None else self._gain(after, layer),
        )

    def before_unembedding(self, vectors: Floats) -> Floats:
        """Apply the maps before the unembedding: (n, d_model) to (n, width of its rows).

        They are unchanged unless something stands between the two.
        """
        for one in self._maps:
            vectors = one(vectors)
        return vectors

    def used_tensors(self) -> list[str]:
        """Names of the tensors that define the lists: every layer's values, norms, unembedding.

        A masked-LM head's are among them whether it is used or not: an option names no other model.
        """
        heads = masked_head_tensors(self.architecture, self._files, self._prefix)
        names = {*self.unembedding.names, *heads}
        names.update(name for one in self._maps for name in one.names)
        for layer in self.layers:
            names.update(block.value.name for block in self._layers[layer])
            for norm in (self.architecture.norm, self.architecture.after_ffn):
                if norm is not None:
                    found = (self._norm_name(choices, layer) for choices in (norm.gain, norm.bias))
                    names.update(name for name in found if name is not None)
        return sorted(names)

    def _norm_name(self, choices: tuple[str, ...], layer: int) -> str | None:
        names = [self._prefix + choice.format(layer=layer) for choice in choices]
        return first_present(self._files, names)

    def _gain(self, names: NormNames, layer: int) -> Floats:
        if not names.gain:
            return np.ones(self.dimensions.d_model)
        name = self._norm_name(names.gain, layer)
        if name is None:
            raise ArchitectureError(
                f"The file has no {names.gain[0].format(layer=layer)}, which the projections fold "
                "and norm need; use the projection raw."
            )
        return names.gain_offset + self._vector(name)

    def _vector(self, name: str) -> Floats:
        return read_vector(self._files, name).to(torch.float64).numpy()

    def _require_only(self) -> None:
        for key, value in self.architecture.only:
            if self._config.get(key, value) != value:
                raise ArchitectureError(
                    f"config.json gives {key} as {self._config[key]!r}; models of the family "
                    f"{self.architecture.model_type} are read where it is {value}. Describe the "
                    "model by its tensors' names instead: docs/extending.md says how."
                )

    def _size(self, keys: tuple[str, ...]) -> int:
        return size_of(self._config, keys)

    def _require_plain(self, config: Mapping[str, Any]) -> None:
        """Refuse tensors that are quantised, or that something else in the file changes."""
        blocks = [block for layer in self.layers for block in self._layers[layer]]
        used = [m.name for block in blocks for m in block.matrices] + self.unembedding.names
        for name in used:
            require_plain(self._files, name, config)
            require_alone(name, self._files.names)
        report_plain(self._files, used, config)

    def require_finite(self) -> None:
        """Read every value matrix once, in blocks. Raises CheckpointError at NaN or infinity."""
        for layer in self.layers:
            for block in self._layers[layer]:
                block.value.require_finite()

    def forget_rows(self, unnamed: NDArray[np.bool_]) -> None:
        """Read rows of the unembedding without a token as zeros."""
        if isinstance(self.unembedding, StoredRows):
            self.unembedding = replace(self.unembedding, unnamed=unnamed)

    def _blocks(self, layer: int, d_model: int) -> Iterator[_Block]:
        """The blocks of a layer, in the order of their indices, with checked shapes."""
        ffns = self.architecture.ffns
        present = (f for f in ffns if self._name(f.mark, layer, 0) in self._files.names)
        ffn: FFN | None = next(present, ffns[0])
        start = 0
        while ffn is not None:
            experts = self._size(ffn.experts_keys) if ffn.experts_keys else 1
            self._require_no_more(ffn, layer, experts)
            for expert in range(experts):
                block = self._block(ffn, layer, expert, experts, start, d_model)
                yield block
                start += block.value.n
            ffn = ffn.then

    def _block(
        self, ffn: FFN, layer: int, expert: int, experts: int, start: int, d_model: int
    ) -> _Block:
        d_ff = self._d_ff(ffn, layer, d_model)

        def stored(matrix: Matrix) -> StoredVectors:
            stacked = bool(ffn.experts_keys) and "{expert}" not in matrix.name
            name = self._name(matrix, layer, expert)
            place = expert if stacked else None
            return StoredVectors(self._files, matrix, name, d_ff, d_model, place, experts)

        key, up = (None if matrix is None else stored(matrix) for matrix in (ffn.key, ffn.up))
        block = _Block(start, key, stored(ffn.value), up)
        for matrix in block.matrices:
            self._require_present(matrix.name)
            require_readable(self._files, matrix.name, self._config)
            matrix.require(self.architecture.model_type, f"of {self._n_layers} layers")
        return block

    def _d_ff(self, ffn: FFN, layer: int, d_model: int) -> int:
        said = width_of(ffn, self._config, d_model)
        if said is not None:
            return said
        name = self._name(ffn.value, layer, 0)
        self._require_present(name)
        return self._files.shape(name)[-2 if ffn.value.orientation == "row" else -1]

    def _name(self, matrix: Matrix, layer: int, expert: int) -> str:
        return self._prefix + matrix.name.format(layer=layer, expert=expert)

    def _require_no_more(self, ffn: FFN, layer: int, experts: int) -> None:
        """Refuse a file with more experts than config.json says, rather than leave some out."""
        surplus = self._name(ffn.value, layer, experts)
        if "{expert}" in ffn.value.name and surplus in self._files.names:
            raise ArchitectureError(
                f"config.json says {experts} experts, but the weights have {surplus}. Correct "
                f"{' or '.join(ffn.experts_keys)} in config.json."
            )

    def _require_present(self, name: str) -> None:
        if name not in self._files.names:
            require_plain(self._files, name, self._config)
        require_present(
            self._files, name, f"a {self.architecture.model_type} model of {self._n_layers} layers"
        )


def _read(parts: Sequence[tuple[int, StoredVectors]], start: int, stop: int) -> torch.Tensor:
    """Vectors start..stop of matrices that follow each other, each with its first index."""
    pieces = [
        stored.read(max(start - first, 0), min(stop - first, stored.n))
        for first, stored in parts
        if first < stop and start < first + stored.n
    ]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
