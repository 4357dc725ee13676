"""App configuration: every process of the site uses the queue in the settings."""

from importlib import import_module

from django.apps import AppConfig


class Workers(AppConfig):
    """Make the site's Celery app the current one, also outside workers."""

    name = "annotation_site.workers"

    def ready(self) -> None:
        # After the settings: by itself Celery would send to a broker on this machine.
        import_module("annotation_site.celery")
