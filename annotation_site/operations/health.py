"""Health checks for load balancers and container engines; they reveal nothing about the site."""

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from annotation_site.workers.selectors import workers_alive


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process responds. It does not query the database, which a restart would not
    repair.
    """
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether this process can serve pages, with a database that responds. Otherwise 503.

    Without a worker it can too, so that is said and is no reason to send people elsewhere.
    """
    try:
        said = "ok\n" if workers_alive().exists() else "ok, but no worker is alive\n"
    except DatabaseError:
        return HttpResponse("the database does not answer\n", content_type="text/plain", status=503)
    return HttpResponse(said, content_type="text/plain")
