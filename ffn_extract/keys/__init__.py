"""Trigger prefixes of keys: the beginnings of sentences at which a key's coefficient is largest.

After Geva et al. (2021), sections 3 and appendix A. One pass over a corpus serves any number of
keys: what is kept is a running list for each, never a coefficient longer than its batch.
"""
