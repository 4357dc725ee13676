"""A family's declaration applied to a checkpoint: checked names and shapes, lazy rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures.declaration import Architecture, Matrix
from ffn_extract.errors import ArchitectureError, CheckpointError
from ffn_extract.norms import Norm
from ffn_extract.tensor_files import TensorFiles, first_present


@dataclass(frozen=True)
class Dimensions:
    """Sizes of a model; `d_ff` is the number of value vectors per layer."""

    n_layers: int
    d_model: int
    d_ff: int
    vocab_size: int


@dataclass(frozen=True)
class StoredRows:
    """A matrix on disk whose rows are read when they are asked for, shape `shape`."""

    files: TensorFiles
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.files.shape(self.name)
        return rows, columns

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop in stored precision. Raises CheckpointError when one is not finite."""
        return require_finite(self.files.rows(self.name, start, stop), self.name)


class ModelWeights:
    """Value vectors, unembedding and norms of one checkpoint; nothing is read before it is asked.

    Raises
    ------
    ArchitectureError
        On construction, when a tensor is missing or has another shape than the family's.
    """

    def __init__(
        self, architecture: Architecture, config: Mapping[str, Any], files: TensorFiles
    ) -> None:
        self.architecture = architecture
        self._config = config
        self._files = files
        self._prefix = self._find_prefix()
        self.unembedding = StoredRows(files, self._unembedding_name())
        self.dimensions = self._dimensions()
        self._require_shapes()

    @property
    def signed(self) -> bool:
        """Whether the FFN's coefficients can be negative."""
        return self.architecture.signed(self._config.get(self.architecture.activation_key))

    def key_rows(self, layer: int, start: int, stop: int) -> torch.Tensor:
        """Key vectors start..stop of a layer, shape (stop - start, d_model)."""
        return self._vectors(self.architecture.key, layer, start, stop)

    def value_rows(self, layer: int, start: int, stop: int) -> torch.Tensor:
        """Value vectors start..stop of a layer, shape (stop - start, d_model)."""
        return self._vectors(self.architecture.value, layer, start, stop)

    def norm(self, layer: int) -> Norm:
        """The norm between `layer`'s output (or the last layer's) and the unembedding."""
        names = self.architecture.norm
        gain, bias = self._norm_name(names.gain, layer), self._norm_name(names.bias, layer)
        if gain is None:
            raise ArchitectureError(
                f"The file has no {names.gain[0].format(layer=layer)}, which the projections fold "
                "and norm need; use the projection raw."
            )
        return Norm(
            kind=names.kind,
            gain=self._vector(gain),
            bias=None if bias is None else self._vector(bias),
            epsilon=float(self._config.get(names.epsilon_key, names.default_epsilon)),
        )

    def used_tensors(self) -> list[str]:
        """Names of the tensors that define the lists: every layer's values, norms, unembedding."""
        names = {self.unembedding.name}
        for layer in range(self.dimensions.n_layers):
            norm = self.architecture.norm
            names.add(self._name(self.architecture.value, layer))
            names.update(
                name
                for choices in (norm.gain, norm.bias)
                if (name := self._norm_name(choices, layer)) is not None
            )
        return sorted(names)

    def _vectors(self, matrix: Matrix, layer: int, start: int, stop: int) -> torch.Tensor:
        name = self._name(matrix, layer)
        if matrix.orientation == "row":
            vectors = self._files.rows(name, start, stop)
        else:
            vectors = self._files.columns(name, start, stop).T
        return require_finite(vectors, name)

    def _name(self, matrix: Matrix, layer: int) -> str:
        return self._prefix + matrix.name.format(layer=layer)

    def _norm_name(self, choices: tuple[str, ...], layer: int) -> str | None:
        names = [self._prefix + choice.format(layer=layer) for choice in choices]
        return first_present(self._files, names)

    def _vector(self, name: str) -> NDArray[np.float64]:
        (size,) = self._files.shape(name)
        values = require_finite(self._files.rows(name, 0, size), name)
        return values.to(torch.float64).numpy()

    def _find_prefix(self) -> str:
        names = [prefix + self.architecture.embedding for prefix in self.architecture.prefixes]
        name = first_present(self._files, names)
        if name is None:
            raise ArchitectureError(
                f"The weights have no {' or '.join(names)}: they are not those of a "
                f"{self.architecture.model_type} model."
            )
        return name.removesuffix(self.architecture.embedding)

    def _unembedding_name(self) -> str:
        head = first_present(self._files, self.architecture.heads)
        return head if head is not None else self._prefix + self.architecture.embedding

    def _dimensions(self) -> Dimensions:
        family = self.architecture
        d_model = self._size(family.d_model_key)
        if family.d_ff_factor is not None and self._config.get(family.d_ff_key) is None:
            d_ff = family.d_ff_factor * d_model
        else:
            d_ff = self._size(family.d_ff_key)
        shape = self._files.shape(self.unembedding.name)
        if len(shape) != 2 or shape[1] != d_model:
            raise ArchitectureError(
                f"The unembedding {self.unembedding.name} has shape {shape}; its rows should have "
                f"d_model = {d_model} entries."
            )
        return Dimensions(self._size(family.layers_key), d_model, d_ff, shape[0])

    def _size(self, key: str) -> int:
        size = self._config.get(key)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ArchitectureError(
                f"config.json must give {key} as a whole number of at least 1, not {size!r}."
            )
        return size

    def _require_shapes(self) -> None:
        matrices = [self.architecture.key, self.architecture.value, self.architecture.up]
        for layer in range(self.dimensions.n_layers):
            for matrix in matrices:
                if matrix is not None:
                    self._require_shape(matrix, layer)

    def _require_shape(self, matrix: Matrix, layer: int) -> None:
        name = self._name(matrix, layer)
        if name not in self._files.names:
            raise ArchitectureError(
                f"The weights have no {name}, which a {self.architecture.model_type} model of "
                f"{self.dimensions.n_layers} layers keeps there."
            )
        expected = (self.dimensions.d_ff, self.dimensions.d_model)
        if matrix.orientation == "col":
            expected = expected[::-1]
        found = self._files.shape(name)
        if found != expected:
            raise ArchitectureError(
                f"{name} has shape {found}; a {self.architecture.model_type} model with these "
                f"sizes in config.json has {expected}."
            )


def require_finite(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """The tensor itself. Raises CheckpointError when it holds NaN or an infinite number."""
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(f"{name} holds values that are not finite numbers (NaN or infinite).")
    return tensor
