"""Addresses of results, for researchers."""

from django.urls import path

from annotation_site.results.views import deletion
from annotation_site.results.views import estimates as estimate_views
from annotation_site.results.views import exports as export_views
from annotation_site.results.views import home as home_views
from annotation_site.results.views import lists as list_views
from annotation_site.results.views import results as views
from annotation_site.results.views import sensitivity as sensitivity_views

app_name = "results"
urlpatterns = [
    path("studies/<slug:slug>/home/", home_views.study, name="home"),
    path("studies/<slug:slug>/exports/", export_views.exports, name="exports"),
    path("studies/<slug:slug>/exports/status/", export_views.exports_status, name="exports_status"),
    path(
        "studies/<slug:slug>/exports/<uuid:public_id>/",
        export_views.export_file,
        name="export_file",
    ),
    path("studies/<slug:slug>/delete/", deletion.delete, name="delete"),
    path("studies/<slug:slug>/results/", views.results, name="results"),
    path(
        "studies/<slug:slug>/results/sensitivity/",
        sensitivity_views.sensitivity,
        name="sensitivity",
    ),
    path("studies/<slug:slug>/results/summary/", list_views.results_summary, name="summary"),
    path("studies/<slug:slug>/estimates/", estimate_views.estimates, name="estimates"),
    path(
        "studies/<slug:slug>/estimates/status/",
        estimate_views.estimates_status,
        name="estimates_status",
    ),
    path(
        "studies/<slug:slug>/estimates/compute/",
        estimate_views.compute,
        name="estimates_compute",
    ),
    path(
        "studies/<slug:slug>/estimates/<uuid:public_id>/cancel/",
        estimate_views.cancel,
        name="estimates_cancel",
    ),
    path("studies/<slug:slug>/run/lists/", list_views.lists, name="lists"),
    path("studies/<slug:slug>/lists/<int:number>/", list_views.one_list, name="list"),
    path("studies/<slug:slug>/adjudication/", list_views.adjudication, name="adjudication"),
    path(
        "studies/<slug:slug>/adjudication/adjudicated.<str:extension>",
        list_views.adjudicated_file,
        name="adjudicated",
    ),
    path("studies/<slug:slug>/results/status/", views.status, name="status"),
    path("studies/<slug:slug>/results/retry/", views.retry, name="retry"),
    path(
        "studies/<slug:slug>/results/<str:table>.<str:extension>", views.download, name="download"
    ),
    path(
        "studies/<slug:slug>/figures/<slug:name>.<slug:extension>",
        views.figure,
        name="figure",
    ),
]
