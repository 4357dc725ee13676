"""Find a family's tensors in a checkpoint: prefixes and heads, by names alone. No torch."""

import re
from collections.abc import Collection, Iterable

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix
from ffn_extract.errors import ArchitectureError
from ffn_extract.tensor_names import pattern_of as expression_for

LIST_TENSORS = "`python -m ffn_extract tensors MODEL` lists the tensors of a model."


def first_of(names: Collection[str], wanted: Iterable[str]) -> str | None:
    """The first of the wanted names that exists."""
    return next((name for name in wanted if name in names), None)


def name_on_disk(prefix: str, matrix: Matrix, layer: int, expert: int = 0) -> str:
    """The whole name of a matrix of a layer, or of one expert there."""
    return prefix + matrix.name.format(layer=layer, expert=expert)


def matrices_of(ffns: Iterable[FFN]) -> list[Matrix]:
    """The key and value matrices of an FFN's possible forms, without shared experts."""
    return [matrix for ffn in ffns for matrix in (ffn.key, ffn.value) if matrix is not None]


def pattern_of(matrix: Matrix) -> str:
    """A regular expression for a matrix's name, with groups for its `layer` and `expert`."""
    return expression_for(matrix.name).pattern


def find_prefix(family: Architecture, names: Collection[str]) -> str:
    """The prefix of the family's names in this file: its usual one, or a wrapper's too.

    Wrappers are what compiling (`_orig_mod.`), data parallelism (`module.`), adapters
    (`base_model.model.`) and multimodal models (`model.language_model.`) put in front. Found by the
    embeddings, else (where a file keeps a tied matrix under the head's name only) by the FFN.

    Raises ArchitectureError when the tensors are not there, or under several prefixes.
    """
    usual = [prefix + family.embedding for prefix in family.prefixes]
    found = first_of(names, usual)
    if found is not None:
        return found.removesuffix(family.embedding)
    with_ffn = _prefixes_of_ffn(family, names)
    wrapped = {
        n.removesuffix(family.embedding) for n in names if n.endswith(f".{family.embedding}")
    }
    possible = sorted(with_ffn & wrapped or with_ffn)
    if len(possible) == 1:
        return possible[0]
    if possible:
        raise ArchitectureError(
            f"The weights hold the tensors of {len(possible)} {family.model_type} models, under "
            f"{' and '.join(repr(prefix) for prefix in possible)}. Save one of them alone, or name "
            "its tensors with --value-tensor, --key-tensor, --unembedding-tensor and --orientation."
        )
    raise ArchitectureError(
        f"The weights have no {' or '.join(usual)}: they are not those of a {family.model_type} "
        f"model. {LIST_TENSORS}"
    )


def _prefixes_of_ffn(family: Architecture, names: Collection[str]) -> set[str]:
    patterns = [re.compile(rf"(.*\.)?{pattern_of(m)}") for m in matrices_of(family.ffns)]
    found = (pattern.fullmatch(name) for name in names for pattern in patterns)
    return {match[1] or "" for match in found if match}


def beside(prefix: str, name: str) -> list[str]:
    """Possible places of a tensor outside the base model: the top, or any part of the prefix."""
    parts = prefix.split(".")
    return [".".join([*parts[:n], name]) for n in range(len(parts))]


def find_head(heads: Iterable[str], names: Collection[str], prefix: str) -> str | None:
    """The head in the file, of the family's possible names.

    Raises ArchitectureError when it has several.
    """
    found = [name for head in heads for name in beside(prefix, head) if name in names]
    if len(found) > 1:
        raise ArchitectureError(
            f"The weights have several heads: {', '.join(found)}. Name the unembedding with "
            "--unembedding-tensor."
        )
    return found[0] if found else None
