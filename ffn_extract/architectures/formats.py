"""Tables of the formats of weights that are read, by family, as in docs/formats.md."""

from collections.abc import Iterator

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.architectures.declaration import FFN, Architecture
from ffn_extract.architectures.in_gguf import MODEL_TYPES, RUN, WITH_EXPERTS
from ffn_extract.quantised_formats.declared import FORMS

_NO = "—"


def lines() -> Iterator[str]:
    """Two tables in Markdown: the quantised formats, and each family in each format."""
    yield "| quant_method | what is read | numbers in float32 | checked with |"
    yield "|---|---|---|---|"
    for method, form in sorted(FORMS.items()):
        yield f"| {method} | {form.read} | {form.numbers} | {', '.join(form.checked_with)} |"
    yield ""
    yield "| family | safetensors, .bin | GGUF | quantised layers | MXFP4 |"
    yield "|---|---|---|---|---|"
    for name, family in sorted(ARCHITECTURES.items()):
        cells = (name, _plain(family), _gguf(family), _quantised(family), _mxfp4(family))
        yield f"| {' | '.join(cells)} |"


def in_linear_layers(family: Architecture) -> bool:
    """Whether every matrix of an FFN is a linear layer's weight, as quantisers replace them."""
    ffns = [part for ffn in family.ffns for part in _chain(ffn)]
    keys = [matrix for ffn in ffns for matrix in (ffn.key, ffn.up) if matrix is not None]
    return (
        all(matrix.name.endswith(".weight") for matrix in (*keys, *(ffn.value for ffn in ffns)))
        and all(matrix.orientation == "row" for matrix in keys)
        and all(ffn.value.orientation == "col" for ffn in ffns)
        and not family.adaptive
    )


def _chain(ffn: FFN | None) -> Iterator[FFN]:
    while ffn is not None:
        yield ffn
        ffn = ffn.then


def _plain(family: Architecture) -> str:
    if family.adaptive:
        return "fairseq's .pt"
    return "read" if family.value_module is None else "read, updates"


def _gguf(family: Architecture) -> str:
    types = [*MODEL_TYPES.items(), *WITH_EXPERTS.items()]
    names = [name for name, model_type in types if model_type == family.model_type]
    if not names:
        return _NO
    return f"{names[0]}, updates" if family.model_type in RUN else names[0]


def _quantised(family: Architecture) -> str:
    if not in_linear_layers(family):
        return _NO
    return "read" if family.value_module is None else "read, updates"


def _mxfp4(family: Architecture) -> str:
    return "read, updates" if family.model_type == "gpt_oss" else _NO
