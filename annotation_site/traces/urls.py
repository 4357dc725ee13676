"""Addresses of traces."""

from django.urls import path

from annotation_site.traces import views

app_name = "traces"
urlpatterns = [
    path("traces/", views.listed, name="listed"),
    path("traces/<uuid:public_id>/", views.trace, name="trace"),
    path("traces/<uuid:public_id>/progress/", views.progress, name="progress"),
    path("traces/<uuid:public_id>/share/", views.share, name="share"),
    path("traces/<uuid:public_id>/delete/", views.delete, name="delete"),
    path("traces/<uuid:public_id>.json", views.json_file, name="json"),
]
