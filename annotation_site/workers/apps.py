"""The workers' app: every process of the site knows the queue that the settings name."""

from importlib import import_module

from django.apps import AppConfig


class Workers(AppConfig):
    """Makes the site's Celery app the current one, also where no worker runs."""

    name = "annotation_site.workers"

    def ready(self) -> None:
        # After the settings: by itself Celery would send to a broker on this machine.
        import_module("annotation_site.celery")
