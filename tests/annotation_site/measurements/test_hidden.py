"""Measurements of a model are closed to people who annotate its lists in an unfinished study."""

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.errors import NotAllowed
from annotation_site.measurements.services import measurement_enqueue
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_measurement,
    make_study,
    text_of,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", ["draft", "pilot", "open", "paused"])
def test_an_annotator_of_the_model_opens_none_of_its_measurements(state):
    admin, other = (UserFactory(role=Role.ADMIN) for _ in range(2))
    study = make_study(people=[admin, UserFactory()], team_may_annotate=True)
    model = study.extractions.get().model
    measurement = make_measurement(model, title="About its vectors")
    Study.objects.filter(pk=study.pk).update(state=state)
    page = f"/measurements/{measurement.public_id}/"
    addresses = (
        page, f"{page}progress/", f"{page}log.txt",
        f"/measurements/compare/?one={measurement.public_id}&other={measurement.public_id}",
        f"/api/measurements/{measurement.public_id}",
        f"/api/measurements/{measurement.public_id}/log",
    )  # fmt: skip
    for address in addresses:
        assert client_of(admin).get(address).status_code == 403, address
        assert client_of(other).get(address).status_code != 403, address
    assert client_of(admin).get(f"{page}all.zip").status_code == 403
    assert "You annotate lists of this model" in text_of(client_of(admin).get(page))
    with pytest.raises(NotAllowed, match="You annotate lists of this model"):
        measurement_enqueue(name="norm", model=model, requested_by=admin)
    Study.objects.filter(pk=study.pk).update(state="closed")
    assert client_of(admin).get(page).status_code == 200
