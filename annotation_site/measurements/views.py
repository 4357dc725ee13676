"""Views of measurements, for researchers and admins."""

import uuid

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.downloads import Download, attachment
from annotation_site.measurements import selectors
from annotation_site.measurements.models import Measurement


@researcher_required
@require_GET
def measurement(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """One measurement: its state, its result in words, its tables and files."""
    found = get_object_or_404(Measurement.objects.select_related("model"), public_id=public_id)
    context = {
        "measurement": found,
        "steps": selectors.measurement_steps(found),
        "tables": selectors.tables(found),
        "files": selectors.measurement_files(found),
    }
    return render(request, "measurements/measurement.html", context)


@researcher_required
@require_GET
def file(request: PersonRequest, public_id: uuid.UUID, name: str) -> HttpResponseBase:
    """A file of a measurement, to save."""
    found = get_object_or_404(Measurement, public_id=public_id)
    there, content = selectors.measurement_file(found, name)
    return attachment(Download(there.name, there.media_type, content))
