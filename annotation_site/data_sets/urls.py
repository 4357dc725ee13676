"""Addresses of data sets, for the people who run a study."""

from django.urls import path

from annotation_site.data_sets import views

app_name = "data_sets"
urlpatterns = [
    path("studies/<slug:slug>/data-set/", views.data_set, name="data_set"),
    path("studies/<slug:slug>/data-set/status/", views.status, name="status"),
    path("studies/<slug:slug>/data-set/<uuid:public_id>/", views.file, name="file"),
    path("studies/<slug:slug>/data-set/<uuid:public_id>/cancel/", views.cancel, name="cancel"),
]
