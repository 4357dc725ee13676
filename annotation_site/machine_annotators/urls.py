"""Addresses of a study's language models, for its researchers."""

from django.urls import path

from annotation_site.machine_annotators import views

app_name = "machine_annotators"
_PAGE = "studies/<slug:slug>/machine-annotators/"
_RUN = f"{_PAGE}<uuid:public_id>/"
urlpatterns = [
    path(_PAGE, views.listed, name="listed"),
    path(f"{_PAGE}status/", views.status, name="status"),
    path(f"{_PAGE}prompt/", views.prompt, name="prompt"),
    path(f"{_PAGE}new/", views.new, name="new"),
    path(f"{_RUN}cancel/", views.cancel, name="cancel"),
    path(f"{_RUN}continue/", views.go_on, name="continue"),
    path(f"{_RUN}delete/", views.delete, name="delete"),
    path(f"{_RUN}exchanges/", views.exchanges, name="exchanges"),
    path(f"{_RUN}exchanges/delete/", views.exchanges_remove, name="exchanges_delete"),
]
