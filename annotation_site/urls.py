"""Addresses of the site. An annotator's pages are under /lists/ and /studies/."""

from django.urls import include, path

from annotation_site.operations.health import healthz, readyz
from annotation_site.operations.metrics import metrics
from annotation_site.operations.views import site
from annotation_site.start_page import start

handler500 = "annotation_site.errors.fault"
urlpatterns = [
    path("", start, name="home"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("site/", site, name="site"),
    path("metrics", metrics, name="metrics"),
    path("", include("annotation_site.accounts.urls")),
    path("", include("annotation_site.corpus.urls")),
    path("", include("annotation_site.measurements.urls")),
    path("", include("annotation_site.traces.urls")),
    path("", include("annotation_site.explorer.urls")),
    path("", include("annotation_site.results.urls")),
    path("", include("annotation_site.machine_annotators.urls")),
    path("", include("annotation_site.public.urls")),
    path("", include("annotation_site.annotation.urls")),
    path("", include("annotation_site.notices.urls")),
    path("api/", include("annotation_site.api.urls")),
]
