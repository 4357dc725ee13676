"""WikiLM: fairseq's `transformer_lm.wiki103.adaptive` and others of its transformer_lm models that
have an adaptive embedding. The released ones have ReLU and no norm before the unembedding.

fairseq's names on disk; the sizes are the command line with which the model was trained. The model
is read and never run: transformers does not know it.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="wikilm",
    prefixes=("",),
    ffns=(
        FFN(
            key=Matrix("decoder.layers.{layer}.fc1.weight", "row"),
            value=Matrix("decoder.layers.{layer}.fc2.weight", "col"),
            d_ff_keys=("decoder_ffn_embed_dim",),
        ),
    ),
    embedding="decoder.embed_tokens.embeddings.0.0.weight",
    adaptive=True,
    # In the file only of models that were trained with one.
    norm=NormNames("layer", gain=("decoder.layer_norm.weight",), bias=("decoder.layer_norm.bias",)),
    value_module=None,
    layers_keys=("decoder_layers",),
    d_model_keys=("decoder_embed_dim",),
    activation_key="activation_fn",
    default_activation="relu",
)
