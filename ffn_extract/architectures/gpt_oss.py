"""gpt-oss: experts stored together, gate and up interleaved; values are rows.

Each expert's down_proj_bias belongs to the update and to no value vector. The published files are
MXFP4, of which `quantised_formats` makes tensors of these names.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="gpt_oss",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.experts.gate_up_proj", "col", "even"),
            up=Matrix("layers.{layer}.mlp.experts.gate_up_proj", "col", "odd"),
            value=Matrix("layers.{layer}.mlp.experts.down_proj", "row"),
            experts_keys=("num_local_experts",),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=False,
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
    value_module="layers.{layer}.mlp",
)
