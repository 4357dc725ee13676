"""Cohere's Command: attention and FFN in parallel, LayerNorm without bias.

The model multiplies its logits by a positive logit_scale, which keeps every rank and is left out.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="cohere",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.gate_proj.weight", "row"),
            up=Matrix("layers.{layer}.mlp.up_proj.weight", "row"),
            value=Matrix("layers.{layer}.mlp.down_proj.weight", "col"),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames("layer", gain=("norm.weight",)),
    value_module="layers.{layer}.mlp.down_proj",
)
