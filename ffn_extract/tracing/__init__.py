"""Read and change what a causal model's FFN layers do while it runs."""
