"""Addresses of the site. An annotator's pages live under /lists/ and /studies/."""

from django.urls import include, path

from annotation_site.annotation.views.own import home

urlpatterns = [
    path("", home, name="home"),
    path("", include("annotation_site.accounts.urls")),
    path("", include("annotation_site.corpus.urls")),
    path("", include("annotation_site.results.urls")),
    path("", include("annotation_site.annotation.urls")),
    path("api/", include("annotation_site.api.urls")),
]
