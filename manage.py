#!/usr/bin/env python
"""Django's command line; `python manage.py help` lists the commands of this site."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from annotation_site.private_files import keep_files_private

    keep_files_private()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except DatabaseError as error:
        from annotation_site.operations.databases import what_is_wrong

        if sentence := what_is_wrong(error):
            sys.exit(sentence)
        raise
    except OSError as error:
        from annotation_site.errors import storage_sentence

        if sentence := storage_sentence(error):
            sys.exit(sentence)
        raise


if __name__ == "__main__":
    main()
