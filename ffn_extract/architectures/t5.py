"""T5: the decoder's FFN, gated (v1.1, Flan) or not (the first T5).

With a tied head the model scales by d_model^-1/2 before it, by config; that keeps every rank and is
left out. Updates are read with the text as the encoder's input and, behind the start token, as the
decoder's.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="t5",
    prefixes=("",),
    ffns=(
        FFN(
            key=Matrix("decoder.block.{layer}.layer.2.DenseReluDense.wi_0.weight", "row"),
            up=Matrix("decoder.block.{layer}.layer.2.DenseReluDense.wi_1.weight", "row"),
            value=Matrix("decoder.block.{layer}.layer.2.DenseReluDense.wo.weight", "col"),
            d_ff_keys=("d_ff",),
        ),
        FFN(
            key=Matrix("decoder.block.{layer}.layer.2.DenseReluDense.wi.weight", "row"),
            value=Matrix("decoder.block.{layer}.layer.2.DenseReluDense.wo.weight", "col"),
            d_ff_keys=("d_ff",),
        ),
    ),
    embedding="shared.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames(
        "rms",
        gain=("decoder.final_layer_norm.weight",),
        epsilon_key="layer_norm_epsilon",
        default_epsilon=1e-6,
    ),
    value_module="decoder.block.{layer}.layer.2.DenseReluDense.wo",
    layers_keys=("num_decoder_layers", "num_layers"),
    d_model_keys=("d_model",),
    activation_key="feed_forward_proj",
    default_activation="relu",
    form="encoder-decoder",
)
