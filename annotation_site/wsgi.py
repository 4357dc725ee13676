"""The WSGI entry point that gunicorn loads."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from annotation_site.celery import prepare_to_send
from annotation_site.operations.metrics import metrics_prepare

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
application = get_wsgi_application()
# Loaded before gunicorn forks (--preload), so that workers share it and answer at once.
get_resolver().url_patterns  # noqa: B018
prepare_to_send()
metrics_prepare()
