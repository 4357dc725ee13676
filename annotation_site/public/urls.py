"""Addresses of public pages. Those below /public/ are for everybody, without a login.

They name a study as `published`, so that no middleware asks the database about it.
"""

from django.urls import path

from annotation_site.public import served, views

app_name = "public"
urlpatterns = [
    path("public/", served.listed, name="listed"),
    path("public/<slug:published>/", served.page, name="page"),
    path("public/<slug:published>/<str:name>", served.file, name="file"),
    path("studies/<slug:slug>/publish/", views.publish, name="publish"),
    path("studies/<slug:slug>/publish/status/", views.status, name="status"),
    path("studies/<slug:slug>/publish/off/", views.switch_off, name="off"),
    path("studies/<slug:slug>/publish/draft/<str:name>", views.draft, name="draft"),
]
