"""App configuration: what becomes of a person's traces when the person is erased."""

from typing import Any

from django.apps import AppConfig


class Traces(AppConfig):
    """Delete a person's traces in the transaction that erases the person."""

    name = "annotation_site.traces"

    def ready(self) -> None:
        from annotation_site.accounts.services import person_forgotten

        person_forgotten.connect(_forget, dispatch_uid="traces")


def _forget(sender: Any, *, person: Any, **_: Any) -> None:
    from annotation_site.traces.services import traces_forget

    traces_forget(person=person)
