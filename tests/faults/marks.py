"""Which of the two runs a test belongs to, where it does not belong to both."""

import os

import pytest

ONCE = pytest.mark.skipif(
    os.environ.get("FFN_TEST_SERVICES") == "1",
    reason="Tested in the first run: it needs the embedded default, or neither.",
)
