"""Addresses of the pages about models and extractions."""

from django.urls import path

from annotation_site.corpus import views

app_name = "corpus"
urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/enqueue/", views.enqueue, name="enqueue"),
    path("models/import/", views.import_bundle, name="import"),
    path("corpora/", views.corpora_page, name="corpora"),
    path("corpora/<uuid:public_id>/delete/", views.corpus_delete, name="corpus_delete"),
    path("models/<uuid:public_id>/", views.extraction, name="extraction"),
    path("models/<uuid:public_id>/progress/", views.progress, name="progress"),
    path("models/<uuid:public_id>/cancel/", views.cancel, name="cancel"),
    path("models/<uuid:public_id>/log.txt", views.log, name="log"),
    path("models/<uuid:public_id>/manifest.json", views.manifest, name="manifest"),
    path("models/<uuid:public_id>/rename/", views.rename, name="rename"),
    path("models/<uuid:public_id>/retry/", views.retry, name="retry"),
    path("models/<uuid:public_id>/delete/", views.delete, name="delete"),
]
