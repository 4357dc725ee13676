"""The WSGI entry point that gunicorn loads.

A site that cannot work does not start: gunicorn stops at this exit status instead of trying again.
"""

import gc
import os
import sys
from typing import NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from annotation_site.orphans import forks_end_with_this_process
from annotation_site.private_files import keep_files_private

GUNICORN_STOPS = 3  # gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr, flush=True)
    raise SystemExit(GUNICORN_STOPS)


# What is imported stays: looking for garbage in it costs a sixth of the time until the first page.
gc.disable()
keep_files_private()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    _refuse(str(error))

from annotation_site.celery import prepare_to_send  # noqa: E402  (the settings have to be whole)
from annotation_site.operations.metrics import metrics_prepare  # noqa: E402
from annotation_site.static_files import static_files_missing  # noqa: E402

if static_files_missing():
    _refuse(
        f"The static files are not collected into {settings.STATIC_ROOT}, so every page would be "
        "an error. Run `manage.py collectstatic --noinput` first."
    )
# Loaded before gunicorn forks (--preload), so that workers share it and answer at once.
get_resolver().url_patterns  # noqa: B018
prepare_to_send()
metrics_prepare()
forks_end_with_this_process()
gc.freeze()  # so that no worker writes to the pages that it shares with the others
gc.enable()
