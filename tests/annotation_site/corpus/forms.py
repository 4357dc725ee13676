"""The form that enqueues a model, filled in."""


def form(**changes):
    return {
        "model": "gpt2",
        "revision": "",
        "kinds": ["value", "random"],
        "extent": "sample",
        "per_layer": 3,
        "seed": 7,
        "projection": "raw",
        "random_grain": "layer",
        "keys_of": "sample",
        "glosses": "none",
        **changes,
    }


GPT2 = {
    "model_type": "gpt2", "n_layer": 12, "n_embd": 768, "vocab_size": 50257,
    "activation_function": "gelu_new",
}  # fmt: skip
