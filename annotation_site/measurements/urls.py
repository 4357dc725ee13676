"""Addresses of the pages about measurements, and of a model's page."""

from django.urls import path

from annotation_site.measurements import views

app_name = "measurements"
urlpatterns = [
    path("models/<int:number>/", views.model, name="model"),
    path("measurements/", views.listed, name="listed"),
    path("measurements/new/", views.new, name="new"),
    path("measurements/compare/", views.compare, name="compare"),
    path("measurements/<uuid:public_id>/", views.measurement, name="measurement"),
    path("measurements/<uuid:public_id>/progress/", views.progress, name="progress"),
    path("measurements/<uuid:public_id>/cancel/", views.cancel, name="cancel"),
    path("measurements/<uuid:public_id>/retry/", views.retry, name="retry"),
    path("measurements/<uuid:public_id>/rename/", views.rename, name="rename"),
    path("measurements/<uuid:public_id>/delete/", views.delete, name="delete"),
    path("measurements/<uuid:public_id>/log.txt", views.log, name="log"),
    path("measurements/<uuid:public_id>/all.zip", views.archive, name="archive"),
    path("measurements/<uuid:public_id>/tables/<slug:name>/", views.table, name="table"),
    path("measurements/<uuid:public_id>/files/<str:name>", views.file, name="file"),
]
