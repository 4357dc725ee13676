"""ModernBERT: a gated FFN, gate and up in one tensor, and one final norm without bias."""

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    MaskedHead,
    Matrix,
    NormNames,
)

ARCHITECTURE = Architecture(
    model_type="modernbert",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.Wi.weight", "row", "first half"),
            up=Matrix("layers.{layer}.mlp.Wi.weight", "row", "second half"),
            value=Matrix("layers.{layer}.mlp.Wo.weight", "col"),
        ),
    ),
    embedding="embeddings.tok_embeddings.weight",
    norm=NormNames("layer", gain=("final_norm.weight",), epsilon_key="norm_eps"),
    value_module="layers.{layer}.mlp.Wo",
    masked_head=MaskedHead(
        dense="head.dense.weight", gain=("head.norm.weight",), decoder="decoder.weight"
    ),
    activation_key="hidden_activation",
    form="encoder",
)
