"""Mixtral: experts, each a gated FFN; a coefficient includes the router's weight."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="mixtral",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight", "row"),
            up=Matrix("layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight", "row"),
            value=Matrix("layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight", "col"),
            experts_keys=("num_local_experts",),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=False,
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
    value_module="layers.{layer}.mlp",
)
