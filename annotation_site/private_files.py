"""Private files: set the umask, so that only the owner can read the site's files.

Databases, backups and exports hold names, addresses and digests of passwords. Each way to start a
process of the site calls `keep_files_private` first: manage.py, the web server, workers, the demo.
"""

import os

OTHERS = 0o077  # the group and everybody else


def keep_files_private() -> None:
    """From now on, make files with 0600 and folders with 0700, in children too."""
    os.umask(OTHERS)
