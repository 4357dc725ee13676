"""OPT: a ReLU FFN.

The 350M model norms after each block instead of before, so its layers' own output norms stand in
for the final one that it lacks, and narrows what it gives to its embeddings with project_out.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="opt",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("decoder.layers.{layer}.fc1.weight", "row"),
            value=Matrix("decoder.layers.{layer}.fc2.weight", "col"),
            d_ff_keys=("ffn_dim",),
        ),
    ),
    embedding="decoder.embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames(
        "layer",
        gain=("decoder.final_layer_norm.weight", "decoder.layers.{layer}.final_layer_norm.weight"),
        bias=("decoder.final_layer_norm.bias", "decoder.layers.{layer}.final_layer_norm.bias"),
    ),
    value_module="decoder.layers.{layer}.fc2",
    project_out=Matrix("decoder.project_out.weight", "row"),
    activation_key="activation_function",
    default_activation="relu",
    norm_after_adding=("do_layer_norm_before", False),
)
