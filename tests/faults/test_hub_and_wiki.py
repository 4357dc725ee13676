"""A hub that hangs, fails or lies: a sentence, soon, and no file that could be taken for a model.

Wikipedia's part is in tests/ffn_extract/test_wikipedia.py; what is only cut short, in test_hub.py.
"""

from pathlib import Path

import pytest

from tests.faults.marks import ONCE
from tests.ffn_extract.hub_files import NOWHERE, files_of, find
from tests.ffn_extract.hub_server import MODEL, Hub, served

pytestmark = [pytest.mark.xdist_group("faults-web"), ONCE]
UNREACHED = "refused: The hub cannot be reached, or the transfer stopped ("


@pytest.fixture
def files(tiny_model) -> dict[str, bytes]:
    return files_of(tiny_model("llama"))


@pytest.mark.parametrize("where", ["/api/models/", "/model.safetensors"])
@pytest.mark.long
def test_a_hub_that_hangs_costs_its_time_limit(files, tmp_path, where, monkeypatch):
    """`find` itself fails where that takes five minutes."""
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    with served(Hub(files, hangs=(where,))) as hub:
        assert find(hub.address, tmp_path, MODEL).startswith(UNREACHED)
    assert no_model_is_kept(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        (500, b"oops"),
        (200, b"<html>Log in to the network</html>"),
        (200, b"[]"),
        (200, b'{"siblings": 7}'),
        (200, b'{"id": "someone/tiny", "sha": "x", "siblings": [{"size": 3}]}'),
    ],
    ids=["500", "no JSON", "a list", "other types", "no names"],
)
def test_a_hub_that_talks_nonsense_is_as_good_as_none(files, tmp_path, said):
    with served(Hub(files, says=said)) as hub:
        assert find(hub.address, tmp_path, MODEL).startswith(UNREACHED)
        hub.says = None
        assert find(hub.address, tmp_path, MODEL).startswith(f"{MODEL} ")


def test_a_file_with_another_content_than_named_is_refused_and_not_kept(files, tmp_path):
    """The size is right, which is all that the hub's own client looks at."""
    with served(Hub(files, lies=frozenset({"model.safetensors"}))) as hub:
        said = find(hub.address, tmp_path, MODEL)
        assert said.startswith(
            f"refused: The hub sent model.safetensors of {MODEL} with another SHA-256"
        )
        assert no_model_is_kept(tmp_path)
        hub.lies = frozenset()
        folder = find(hub.address, tmp_path, MODEL).split()[2]
    assert (Path(folder) / "model.safetensors").read_bytes() == files["model.safetensors"]


def no_model_is_kept(cache: Path) -> bool:
    """Whether a run without a connection would find nothing that it takes for the model."""
    return find(NOWHERE, cache, MODEL).startswith(UNREACHED)
