"""A process of a site that runs pieces of Python: `python -m tests.e2e.shell`, one a line, as JSON.

Each runs in a copy of this process (a fork), so that none sees what another did to a module; to
load Django and the site for each takes a second. The answer is a line, too: what was printed, and
the traceback of what failed.
"""

import contextlib
import io
import json
import os
import random
import sys
import traceback


def main() -> None:
    import django

    from annotation_site.private_files import keep_files_private

    keep_files_private()
    django.setup()
    from django.db import connections

    import tests.annotation_site.factories  # noqa: F401  (most pieces need them)

    for line in sys.stdin:
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            if status:
                answer("", f"Ended with status {status}.")
        else:
            random.seed()
            said, failed = io.StringIO(), ""
            with contextlib.redirect_stdout(said):
                try:
                    exec(json.loads(line), {"__name__": "__main__"})
                except BaseException:
                    failed = traceback.format_exc()
            connections.close_all()  # SQLite's last one tidies up beside its file
            answer(said.getvalue(), failed)
            os._exit(0)


def answer(said: str, failed: str) -> None:
    print(json.dumps([said, failed]), flush=True)


if __name__ == "__main__":
    main()
