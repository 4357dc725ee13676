"""Pages of results, for researchers."""

from django.urls import path

from annotation_site.results import export_views, views

app_name = "results"
urlpatterns = [
    path("studies/<slug:slug>/exports/", export_views.exports, name="exports"),
    path("studies/<slug:slug>/exports/status/", export_views.exports_status, name="exports_status"),
    path(
        "studies/<slug:slug>/exports/<uuid:public_id>/",
        export_views.export_file,
        name="export_file",
    ),
    path("studies/<slug:slug>/results/", views.results, name="results"),
    path("studies/<slug:slug>/results/status/", views.status, name="status"),
    path(
        "studies/<slug:slug>/results/<str:table>.<str:extension>", views.download, name="download"
    ),
    path("studies/<slug:slug>/figures/<int:number>-<str:variant>.svg", views.figure, name="figure"),
]
