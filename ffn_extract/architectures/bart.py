"""BART: the decoder's FFN. Blocks end in a norm of their own, which stands in for a final one.

Updates are read with the text as the encoder's input and, behind the start token, as the decoder's.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="bart",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("decoder.layers.{layer}.fc1.weight", "row"),
            value=Matrix("decoder.layers.{layer}.fc2.weight", "col"),
            d_ff_keys=("decoder_ffn_dim",),
        ),
    ),
    embedding="shared.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames(
        "layer",
        gain=("decoder.layers.{layer}.final_layer_norm.weight",),
        bias=("decoder.layers.{layer}.final_layer_norm.bias",),
    ),
    value_module="decoder.layers.{layer}.fc2",
    layers_keys=("decoder_layers",),
    d_model_keys=("d_model",),
    activation_key="activation_function",
    default_activation="gelu",
    form="encoder-decoder",
)
