"""Choice of the unembedding: the file's head, else the embeddings if they are tied."""

from collections.abc import Mapping
from typing import Any

from ffn_extract.architectures.companions import require_unquantised
from ffn_extract.architectures.declaration import Architecture, MaskedHead
from ffn_extract.architectures.naming import beside, find_head
from ffn_extract.architectures.settings import tie_word_embeddings
from ffn_extract.errors import ArchitectureError


def choose_unembedding(
    family: Architecture,
    config: Mapping[str, Any],
    names: frozenset[str],
    prefix: str,
    *,
    head: MaskedHead | None,
    named: str | None,
) -> tuple[str, str]:
    """The name of the unembedding's tensor, and how it was chosen: see `Unembedding.chosen`.

    `named` counts before all; `head` is the masked-LM head through which vectors are led, if they
    are. Raises ArchitectureError when the model has a head of its own that the file lacks.
    """
    embedding = prefix + family.embedding
    if named is not None:
        return named, "named"
    heads = family.heads if head is None else (head.decoder,)
    found = find_head(heads, names, prefix)
    if found is not None:
        return found, "head"
    for place in (place for one in heads for place in beside(prefix, one)):
        require_unquantised(place, names, config)
    if not heads:
        return embedding, "encoder"
    said = tie_word_embeddings(config)
    # Every masked-language-model head that is known is tied unless config.json says otherwise.
    tied = (family.tied_by_default if head is None else True) if said is None else said
    if tied:
        return embedding, "family" if said is None else "config"
    why = (
        f"a {family.model_type} model has a head of its own unless config.json says "
        "tie_word_embeddings: true"
        if said is None
        else "config.json says tie_word_embeddings: false"
    )
    raise ArchitectureError(
        f"The weights have no head ({' or '.join(heads)}), and {why}, so the input embeddings are "
        "not the unembedding. Base models, reward models and embedders are saved like this. Give "
        "the whole language model, or name the tensor to project onto with --unembedding-tensor "
        f"({embedding} are the input embeddings)."
    )
