"""What nobody caught is answered in the shape of the place where it was asked."""

import json

import pytest
from django.db import OperationalError
from django.test import RequestFactory

from annotation_site.errors import fault


@pytest.mark.parametrize("folder", ["", "/concepts"])
def test_while_the_database_is_away_scripts_get_json_and_people_a_page(folder):
    requests = RequestFactory(SCRIPT_NAME=folder)
    try:
        raise OperationalError
    except OperationalError:
        said, page = fault(requests.get("/api/me")), fault(requests.get("/hours/"))
    assert (said.status_code, page.status_code) == (503, 503)
    assert json.loads(said.content)["error"]["code"] == "unavailable"
    assert page.content.lstrip().startswith(b"<!doctype html>")
