"""App configuration; public pages follow their studies."""

from django.apps import AppConfig


class PublicConfig(AppConfig):
    name = "annotation_site.public"

    def ready(self) -> None:
        from annotation_site.annotation.allocation.watchers import watch
        from annotation_site.public.services import study_follow

        watch(study_follow)
