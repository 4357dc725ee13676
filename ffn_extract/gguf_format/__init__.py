"""GGUF: one file with a model's settings, its tokenizer and its tensors, most of them quantised."""
