"""The demo's WSGI entry point: the site's own, which also lets its people in with one click."""

import json
import os
from typing import Any

from annotation_site import wsgi  # first: it sets Django up
from annotation_site.accounts.demo_entries import entries_allow

MOST_BYTES = 100_000


def served(descriptor: int) -> Any:
    """The application, after it has read what the demo's process wrote into an inherited file.

    That file has no name, and only a process that the demo started holds it: no setting and no
    variable of the environment can stand for it.
    """
    handed = json.loads(os.pread(descriptor, MOST_BYTES, 0))
    entries_allow(key=bytes.fromhex(handed["key"]), people=handed["people"])
    return wsgi.application
