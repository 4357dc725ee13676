"""Estimates of all value vectors from a sample of lists, and the proxies that narrow them."""
