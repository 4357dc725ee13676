"""Value vectors as a running model holds them."""

from collections.abc import Sequence

import torch

_PRODUCT_NUMBERS = 1 << 22  # that are widened at a time


class Values:
    """The value vectors of a layer, those of its experts behind each other.

    `parts` are matrices of shape (n_part, d_model), views of the model's own. `gain` is that of the
    norm after the FFN, by which each is multiplied, shape (d_model,).
    """

    def __init__(self, parts: Sequence[torch.Tensor], gain: torch.Tensor | None = None) -> None:
        self._parts = list(parts)
        self._gain = gain
        self._starts = [0]
        for part in parts:
            self._starts.append(self._starts[-1] + len(part))
        self._norms: torch.Tensor | None = None

    def __len__(self) -> int:
        return self._starts[-1]

    def take(self, indices: torch.Tensor) -> torch.Tensor:
        """The vectors of any number of indices, shape (*indices.shape, d_model)."""
        found = self.stored(indices)
        if self._gain is not None:
            wide = torch.promote_types(found.dtype, torch.float32)  # in half, products lose digits
            found = found.to(wide) * self._gain.to(wide)
        return found

    def stored(self, indices: torch.Tensor) -> torch.Tensor:
        """The same without the gain of a norm after the FFN, as lists have the vectors."""
        flat = indices.reshape(-1)
        found = self._parts[0].new_empty((len(flat), self._parts[0].shape[1]))
        for start, part in zip(self._starts, self._parts, strict=False):
            within = (flat >= start) & (flat < start + len(part))
            found[within] = part[flat[within] - start]
        return found.reshape(*indices.shape, -1)

    def products(self, direction: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Products with a direction (d_model,) in float64, shape (n,).

        Parts of which no vector is `wanted`, a mask of shape (n,), are left out and are 0: experts
        that a token does not visit.
        """
        if self._gain is not None:
            direction = direction * self._gain.to(torch.float64)
        found = torch.zeros(len(self), dtype=torch.float64, device=self.device)
        rows = max(1, _PRODUCT_NUMBERS // len(direction))
        for start, part in zip(self._starts, self._parts, strict=False):
            if not bool(wanted[start : start + len(part)].any()):
                continue
            for first in range(0, len(part), rows):
                piece = part[first : first + rows]
                found[start + first : start + first + len(piece)] = (
                    piece.to(torch.float64) @ direction
                )
        return found

    @property
    def norms(self) -> torch.Tensor:
        """Their Euclidean norms in float64, shape (n,); computed once, in pieces."""
        if self._norms is None:
            pieces = [
                self.take(torch.arange(start, min(start + 1024, len(self)), device=self.device))
                for start in range(0, len(self), 1024)
            ]
            self._norms = torch.cat(
                [torch.linalg.vector_norm(p.to(torch.float64), dim=1) for p in pieces]
            )
        return self._norms

    @property
    def device(self) -> torch.device:
        """Where the model has them."""
        return self._parts[0].device
