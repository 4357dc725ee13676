"""A model family described by options instead of by a file of this folder.

`value_tensor` is the FFN's output matrix on disk, `{layer}` for the layer's number: value i is its
row i or column i, as `orientation` says. With `{expert}` in the name, each expert has a tensor; a
tensor with three axes holds all experts along its first. Value i of expert e has the index e ·
d_ff + i. A name without `{layer}` is one FFN that all layers share: its vectors are read once, as
those of layer 0. `unembedding_tensor` has a row for each token; where its rows are narrower than
the model, `projection_tensor` is the matrix between the two. `key_tensor` is compared with the
value tensor where it is given; no list needs it. The norm before the unembedding is described by
`norm_gain_tensor`, `norm_kind` ("layer" or "rms"), `norm_bias_tensor`, `norm_offset` (what is
added to the stored gain) and `norm_epsilon` (else config.json's); `norm_after_ffn_tensor` is the
gain of an RMSNorm between the FFN and the residual stream. Sizes are the tensors' own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    Matrix,
    NormNames,
    Orientation,
)
from ffn_extract.architectures.layers import LAYER_COUNTS
from ffn_extract.architectures.settings import text_part
from ffn_extract.errors import ArchitectureError
from ffn_extract.limits import MOST_EXPERTS
from ffn_extract.option_types import MAX_NAME
from ffn_extract.options import ExtractOptions
from ffn_extract.tensor_names import Shape, near_names, pattern_of, ranges

Shapes = Mapping[str, Shape]

WIDTHS = ("hidden_size", "n_embd", "d_model")
FFN_WIDTHS = ("intermediate_size", "n_inner", "ffn_dim", "d_ff")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
EPSILONS = (
    "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon",
    "layernorm_epsilon", "layer_norm_epsilon",
)  # fmt: skip
"""Names in the config.json of any family; of several the first that is there counts."""
_OWN = "described "
"""Begins the names under which sizes counted in the file stand beside those of config.json."""
_PADDING = 512
"""Rows that an unembedding may have beyond config.json's vocab_size."""


@dataclass(frozen=True)
class GivenFamily:
    """A declaration, and config.json with the sizes that it needs beside its own."""

    architecture: Architecture
    config: Mapping[str, Any]


def given_family(config: Mapping[str, Any], options: ExtractOptions, shapes: Shapes) -> GivenFamily:
    """The family that options describe, compared with the tensors' names and shapes.

    Without any shapes (a file that does not say them) nothing can be compared, and sizes are those
    of config.json.

    Raises
    ------
    ArchitectureError
        Where a tensor is not there or its shape cannot be what the options say.
    """
    text = {key: value for key, value in text_part(config).items() if value is not None}
    return _Description({**config, **text}, options, shapes).family()


class _Description:
    """Options beside a file's tensors; each step refuses what cannot be."""

    def __init__(self, config: Mapping[str, Any], options: ExtractOptions, shapes: Shapes) -> None:
        self.config, self.options, self.shapes = config, options, shapes
        self.value = options.value_tensor or ""
        self.unembedding = options.unembedding_tensor or ""
        self.orientation: Orientation = "row" if options.orientation == "row" else "col"

    def family(self) -> GivenFamily:
        """The family that the options describe. Raises ArchitectureError where the file differs."""
        options = self.options
        own: dict[str, Any] = {}
        if self.shapes:
            d_model = self._d_model()
            self._check_unembedding()
            own = self._sizes(d_model)
            self._check_key(d_model)
            self._check_norms(d_model)
        norm = self._norm(own)
        after = options.norm_after_ffn_tensor
        model_type = self.config.get("model_type")
        usable = isinstance(model_type, str) and 0 < len(model_type) <= MAX_NAME // 3
        ffn = FFN(
            key=None
            if options.key_tensor is None
            else Matrix(options.key_tensor, "col" if self.orientation == "row" else "row"),
            value=Matrix(self.value, self.orientation),
            d_ff_keys=() if self.shapes else FFN_WIDTHS,
            d_ff_factor=None if self.shapes else 4,
            experts_keys=(_OWN + "experts",) if _OWN + "experts" in own else (),
        )
        if not self.shapes and "{expert}" in self.value:
            ffn = replace(ffn, d_ff_keys=FFN_WIDTHS, d_ff_factor=4, experts_keys=EXPERTS)
        architecture = Architecture(
            model_type=model_type if usable and isinstance(model_type, str) else "unknown",
            prefixes=("",),
            ffns=(ffn,),
            embedding=self.unembedding,
            project_out=self._projection(),
            norm=norm,
            after_ffn=None
            if after is None
            else NormNames("rms", (after,), gain_offset=options.norm_offset),
            value_module=self._value_module(),
            layers_keys=self._keys(own, "layers", LAYER_COUNTS),
            d_model_keys=self._keys(own, "d_model", WIDTHS),
        )
        return GivenFamily(architecture, {**self.config, **own})

    def _keys(
        self, own: Mapping[str, Any], size: str, of_config: tuple[str, ...]
    ) -> tuple[str, ...]:
        if not self.shapes:
            return of_config
        return (_OWN + size,) if _OWN + size in own else ()

    def _value_module(self) -> str | None:
        """The module whose output is the update: with experts, the one that holds them all."""
        if "{layer}" not in self.value:
            return None
        parts = self.value.split(".")
        if self._is_stack() or "{expert}" in self.value:
            place = next((i for i, part in enumerate(parts) if "expert" in part), len(parts))
            return ".".join(parts[:place]) or None
        return self.value.removesuffix(".weight")

    def _is_stack(self) -> bool:
        return any(len(self.shapes[name]) == 3 for name, _, _ in self._values())

    def _values(self) -> list[tuple[str, int, int]]:
        """The value tensors in the file, each with its layer and expert."""
        pattern = pattern_of(self.value)
        found = []
        for name in self.shapes:
            match = pattern.fullmatch(name)
            if match:
                numbers = match.groupdict()
                found.append((name, int(numbers.get("layer", 0)), int(numbers.get("expert", 0))))
        return sorted(found, key=lambda one: one[1:])

    def _d_model(self) -> int:
        """The width of value vectors, from the value tensors."""
        values = self._values()
        if not values:
            raise _missing(self.value, self.shapes, axes=(2, 3))
        if self.unembedding not in self.shapes:
            raise _missing(self.unembedding, self.shapes, axes=(2,))
        self._require_matrix(self.unembedding, "with a row for each token")
        width = self.shapes[self.unembedding][1]
        widths = {}
        for name, _, _ in values:
            shape = self.shapes[name]
            if len(shape) not in (2, 3) or (len(shape) == 3 and "{expert}" in self.value):
                raise ArchitectureError(
                    f"{name} has shape {shape}; an FFN's value matrix has two axes (or three, "
                    "where one tensor holds all experts). Name another tensor."
                )
            row = self.orientation == "row"
            widths[shape[-1] if row else shape[-2]] = name, shape[-2] if row else shape[-1]
        if len(widths) > 1:
            raise ArchitectureError(
                f"Value vectors of orientation {self.orientation} have {sorted(widths)} entries in "
                f"different layers, and a model has one width: take the other orientation."
            )
        ((d_model, (name, across)),) = widths.items()
        if d_model != width and across == width and self.options.projection_tensor is None:
            other = "col" if self.orientation == "row" else "row"
            raise ArchitectureError(
                f"{name} has shape {self.shapes[name]}: with orientation {self.orientation} its "
                f"value vectors have {d_model} entries, and the unembedding's rows have {width}. "
                f"Give --orientation {other}."
            )
        if d_model != width and self.options.projection_tensor is None:
            raise ArchitectureError(
                f"Value vectors of {name} have {d_model} entries, and the rows of "
                f"{self.unembedding} have {width}. Name the matrix between the two with "
                "--projection-tensor, or another unembedding."
            )
        return d_model

    def _require_matrix(self, name: str, what: str) -> None:
        if len(self.shapes[name]) != 2:
            raise ArchitectureError(
                f"{name} has shape {self.shapes[name]}; it should be a matrix {what}. Name another "
                "tensor."
            )

    def _check_unembedding(self) -> None:
        """Refuse a matrix that has no row for each token, as far as config.json tells."""
        vocab_size = self.config.get("vocab_size")
        if not isinstance(vocab_size, int) or isinstance(vocab_size, bool):
            return
        rows, columns = self.shapes[self.unembedding]
        if vocab_size <= rows <= vocab_size + _PADDING:
            return
        if columns == vocab_size:
            raise ArchitectureError(
                f"{self.unembedding} has shape {(rows, columns)}: a column for each token. Only an "
                "unembedding with a row for each token can be read."
            )
        fitting = [
            name
            for name, shape in self.shapes.items()
            if len(shape) == 2 and vocab_size <= shape[0] <= vocab_size + _PADDING
        ]
        those = f"Those that do: {', '.join(sorted(fitting)[:4])}." if fitting else "Name another."
        raise ArchitectureError(
            f"{self.unembedding} has {rows:,} rows, and config.json gives a vocabulary of "
            f"{vocab_size:,}: it has no row for each token. {those}"
        )

    def _sizes(self, d_model: int) -> dict[str, Any]:
        """Sizes counted in the file, by the names that the declaration knows them by."""
        own: dict[str, Any] = {}
        if "{layer}" not in self.value:
            own[_OWN + "layers"] = 1
        if self.options.projection_tensor is not None:
            own[_OWN + "d_model"] = d_model
        experts = self._experts()
        if experts is not None:
            own[_OWN + "experts"] = experts
        return own

    def _experts(self) -> int | None:
        """How many experts each layer has; None for an FFN without."""
        if not self._is_stack() and "{expert}" not in self.value:
            return None
        of_layer: dict[int, set[int]] = {}
        for name, layer, expert in self._values():
            whole = range(self.shapes[name][0]) if self._is_stack() else (expert,)
            if len(whole) > MOST_EXPERTS or expert >= MOST_EXPERTS:
                raise ArchitectureError(
                    f"{name} holds or is one of more than {MOST_EXPERTS:,} experts, which cannot "
                    "be read. Look up the name of the value tensor."
                )
            of_layer.setdefault(layer, set()).update(whole)
        counts = {max(found) + 1 for found in of_layer.values()}
        for layer, found in of_layer.items():
            lacking = sorted(set(range(max(counts))) - found)
            if lacking:
                raise ArchitectureError(
                    f"Layer {layer} has no {self.value} for expert {ranges(lacking)}, and other "
                    f"experts are numbered up to {max(counts) - 1}. Give the whole model."
                )
        (count,) = counts
        said = {self.config[key] for key in EXPERTS if type(self.config.get(key)) is int}
        if said and count not in said:
            raise ArchitectureError(
                f"The weights have {count} experts in each layer ({self.value}), and config.json "
                f"says {' or '.join(map(str, sorted(said)))}. Give the model that it describes."
            )
        return count

    def _check_key(self, d_model: int) -> None:
        name = self.options.key_tensor
        if name is None:
            return
        row = self.orientation == "col"
        for value, layer, expert in self._values():
            key = name.format(layer=layer, expert=expert)
            if key not in self.shapes:
                raise _missing(name if not _any(name, self.shapes) else key, self.shapes, (2, 3))
            *stack, a, b = self.shapes[value]
            d_ff = a if self.orientation == "row" else b
            expected = (*stack, d_ff, d_model) if row else (*stack, d_model, d_ff)
            double = (*stack, 2 * d_ff, d_model) if row else (*stack, d_model, 2 * d_ff)
            if self.shapes[key] == double:
                raise ArchitectureError(
                    f"{key} has shape {self.shapes[key]}, twice as many vectors as the value "
                    "matrix: it holds two matrices, gate and up. Leave out --key-tensor: no list "
                    "needs it."
                )
            if self.shapes[key] != expected:
                raise ArchitectureError(
                    f"{key} has shape {self.shapes[key]}; beside {value} with shape "
                    f"{self.shapes[value]} and orientation {self.orientation}, the key matrix has "
                    f"{expected}. Name another, or leave out --key-tensor: no list needs it."
                )

    def _projection(self) -> Matrix | None:
        name = self.options.projection_tensor
        if name is None or not self.shapes:
            return None
        if name not in self.shapes:
            raise _missing(name, self.shapes, axes=(2,))
        width, d_model = self.shapes[self.unembedding][1], self._d_model()
        if width == d_model:
            raise ArchitectureError(
                f"The rows of {self.unembedding} have {width} entries, as many as value "
                "vectors, so no matrix is between them. Leave out --projection-tensor."
            )
        orientations: dict[Shape, Orientation] = {(width, d_model): "row", (d_model, width): "col"}
        found = orientations.get(self.shapes[name])
        if found is None:
            raise ArchitectureError(
                f"{name} has shape {self.shapes[name]}; between value vectors of {d_model} entries "
                f"and an unembedding of width {width} it should be {(width, d_model)} or "
                f"{(d_model, width)}. Name another tensor."
            )
        return Matrix(name, found)

    def _check_norms(self, d_model: int) -> None:
        options = self.options
        if options.projection != "raw" and options.norm_gain_tensor is None:
            raise ArchitectureError(
                f"The projection {options.projection} needs the norm before the unembedding. Name "
                "its gain with --norm-gain-tensor and give --norm-kind, or use --projection raw."
                f"{self._norm_candidates(d_model)}"
            )
        layers = sorted({layer for _, layer, _ in self._values()})
        for option in ("norm_gain_tensor", "norm_bias_tensor", "norm_after_ffn_tensor"):
            name = getattr(options, option)
            for layer in layers if name is not None else ():
                one = name.format(layer=layer)
                if one not in self.shapes:
                    raise _missing(name if not _any(name, self.shapes) else one, self.shapes, (1,))
                if self.shapes[one] != (d_model,):
                    raise ArchitectureError(
                        f"{one} has shape {self.shapes[one]}; a norm of value vectors has shape "
                        f"{(d_model,)}. Name another tensor."
                    )

    def _norm_candidates(self, d_model: int) -> str:
        found = sorted(
            name
            for name, shape in self.shapes.items()
            if shape == (d_model,)
            and not any(part.isdecimal() for part in name.split("."))
            and ("norm" in name.lower() or "ln" in name.lower())
            and not name.endswith("bias")
        )
        return f" The file has {', '.join(found[:4])}." if found else ""

    def _norm(self, own: dict[str, Any]) -> NormNames | None:
        options = self.options
        if options.norm_gain_tensor is None:
            return None
        kind: Literal["layer", "rms"] = "rms" if options.norm_kind == "rms" else "layer"
        key = next((key for key in EPSILONS if self.config.get(key) is not None), None)
        if options.norm_epsilon is not None:
            key = _OWN + "epsilon"
            own[key] = options.norm_epsilon
        elif key is None and options.projection == "norm":
            raise ArchitectureError(
                "config.json gives no epsilon of the norm under a known name. Give "
                "--norm-epsilon; --projection fold needs none."
            )
        bias = options.norm_bias_tensor
        return NormNames(
            kind,
            gain=(options.norm_gain_tensor,),
            bias=() if bias is None else (bias,),
            epsilon_key=key or EPSILONS[0],
            gain_offset=options.norm_offset,
        )


def _any(name: str, shapes: Shapes) -> bool:
    """Whether the file has a tensor of that name for any layer and expert."""
    pattern = pattern_of(name)
    return any(map(pattern.fullmatch, shapes))


def _missing(name: str, shapes: Shapes, axes: tuple[int, ...]) -> ArchitectureError:
    return ArchitectureError(f"The weights have no {name}. {near_names(name, shapes, axes)}")


def names_of_norms_after_ffn(options: ExtractOptions, shapes: Shapes) -> Iterator[str]:
    """Tensors that look like a norm after the FFN, which `fold` and `norm` should apply first."""
    if options.projection == "raw" or options.norm_after_ffn_tensor is not None:
        return
    for name in sorted(shapes):
        if any(one in name for one in ("post_feedforward_layernorm", "post_mlp_layernorm")):
            yield name
