"""Quantised safetensors and .bin files: one file a format, matrices dequantised when read."""
