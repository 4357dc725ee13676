"""Tests of extraction and of the site."""

import os

# Before anything loads NumPy or torch. Models of tests are tiny: threads of theirs would spin more
# than they compute, and on a machine whose cores all run tests they wait for each other. Where
# threads could make a difference, a test sets their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")
