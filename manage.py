#!/usr/bin/env python
"""Django's command line; `python manage.py help` lists the commands of this site."""

import sys

from annotation_site.cli import run_django


def main() -> None:
    run_django(sys.argv)


if __name__ == "__main__":
    main()
