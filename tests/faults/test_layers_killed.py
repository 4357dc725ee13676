"""An extraction of every value vector over several workers, whatever happens to them."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from annotation_site.workers.selectors import ALIVE_FOR
from tests.e2e.site import MODEL, ROOT, demo_model, wait_for
from tests.faults.cluster import TAKING_EVERYTHING, Cluster
from tests.faults.marks import ONCE
from tests.ffn_extract.hub_server import MODEL as HUB_MODEL
from tests.ffn_extract.hub_server import OTHER_COMMIT, Hub, served

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.xdist_group("faults-layers")]
LAYERS, D_FF, DRAWN = 6, 1536, 10
ARGUMENTS = ("--kinds", "value,random", "--per-layer", "all", "--glosses", "none")


@pytest.fixture(scope="module")
def digest(tmp_path_factory) -> str:
    """What a single process makes of the same model and options."""
    out = tmp_path_factory.mktemp("direct") / "bundle"
    subprocess.run(
        [sys.executable, "-m", "ffn_extract", "extract", str(demo_model()), "--name", MODEL,
         "--out", str(out), *ARGUMENTS],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return json.loads((out / "manifest.json").read_text())["digest"]


def attempts(cluster: Cluster) -> list[int]:
    """How often each layer was begun, where all are done and whole."""
    layers = cluster.layers()
    assert [(state, done, total) for state, _, _, done, total in layers] == [
        ("done", D_FF + DRAWN, D_FF + DRAWN)
    ] * LAYERS
    return [layer[2] for layer in layers]


def let_another_join(cluster: Cluster) -> None:
    """Hold the first worker up in a layer for a moment, at most: else one that is fast has done all
    layers before another has loaded what it needs for one.

    Much shorter than the silence after which a worker is taken for dead.
    """
    _, worker = wait_for(cluster.running, cluster.said, pause=0.01)[0]
    until = time.monotonic() + ALIVE_FOR.total_seconds() / 2
    with cluster.paused(worker):
        while len(cluster.running()) < 2 and time.monotonic() < until:
            time.sleep(0.05)


def killed_in_a_layer(cluster: Cluster) -> tuple[int, str]:
    """Kill a worker; it is paused first, so that it is not at its next layer by then."""
    while True:
        found = wait_for(cluster.running, cluster.said, pause=0.01)[0]
        with cluster.paused(found[1]):
            if found in cluster.running():
                cluster.kill(found[1])
                return found


@ONCE
def test_one_worker_with_two_children_makes_the_bundle_of_a_single_process(cluster, digest):
    cluster.start(1, TAKING_EVERYTHING)
    cluster.site.manage("enqueue_model", MODEL, *ARGUMENTS)
    wait_for(cluster.finished, cluster.said)
    assert cluster.finished() == [("ready", digest, "")]
    assert attempts(cluster) == [1] * LAYERS


def test_four_workers_share_an_extraction_whose_messages_come_twice(cluster, digest):
    cluster.start(4)
    code = (
        "from annotation_site.corpus.tasks import extraction_work\n"
        "from annotation_site.corpus.models import Extraction\n"
        "from django.core.management import call_command\n"
        f"call_command('enqueue_model', {MODEL!r}, *{ARGUMENTS})\n"
        "for _ in range(20): extraction_work.delay(Extraction.objects.get().pk)"
    )
    cluster.site.run(code)
    let_another_join(cluster)
    wait_for(cluster.finished, cluster.said)
    assert cluster.finished() == [("ready", digest, "")]
    assert attempts(cluster) == [1] * LAYERS
    assert len({worker for _, worker, *_ in cluster.layers()}) > 1
    assert cluster.rows("SELECT count(*) FROM corpus_vector") == [(LAYERS * (D_FF + DRAWN),)]
    bundles = cluster.site.folder / "bundles"
    # A worker removes the parts once the lists are loaded, so the state can be seen before.
    wait_for(lambda: len(os.listdir(bundles)) == 1, cluster.said)
    assert not os.listdir(bundles)[0].startswith(".")


def test_a_worker_killed_in_the_middle_of_a_layer_costs_that_layer_alone(cluster, digest):
    cluster.start(2)
    cluster.site.manage("enqueue_model", MODEL, *ARGUMENTS)
    layer, worker = killed_in_a_layer(cluster)
    wait_for(cluster.finished, cluster.said)
    assert cluster.finished() == [("ready", digest, "")]
    expected = [1] * LAYERS
    expected[layer] = 2
    assert attempts(cluster) == expected
    assert cluster.layers()[layer][1] != worker


@ONCE
def test_a_model_of_the_hub_is_shared_by_workers_and_one_that_is_not_there_says_so(
    stopped_site, tmp_path
):
    files = {path.name: path.read_bytes() for path in demo_model().iterdir() if path.is_file()}
    with served(Hub(files, revisions={"v1.0": OTHER_COMMIT})) as hub:
        stopped_site.environment |= {
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
        }
        revision = ("--revision", "v1.0")
        out = tmp_path / "direct"
        subprocess.run(
            [sys.executable, "-m", "ffn_extract", "extract", HUB_MODEL, "--out", str(out),
             *ARGUMENTS, *revision],
            cwd=ROOT, env=stopped_site.environment, check=True, capture_output=True,
        )  # fmt: skip
        manifest = json.loads((out / "manifest.json").read_text())
        assert (manifest["model"]["name"], manifest["model"]["revision"]) == (
            HUB_MODEL, OTHER_COMMIT,
        )  # fmt: skip
        shutil.rmtree(tmp_path / "cache")  # the workers fetch it themselves
        cluster = Cluster(stopped_site)
        try:
            cluster.start(3)
            stopped_site.manage("enqueue_model", HUB_MODEL, *ARGUMENTS, *revision)
            let_another_join(cluster)
            wait_for(cluster.finished, cluster.said)
            assert cluster.finished() == [("ready", manifest["digest"], "")]
            assert attempts(cluster) == [1] * LAYERS
            assert len({worker for _, worker, *_ in cluster.layers()}) > 1
            stopped_site.manage("enqueue_model", "someone/else", *ARGUMENTS)
            wait_for(lambda: len(cluster.finished()) == 2, cluster.said)
            (refused,) = (said for state, _, said in cluster.finished() if state == "failed")
            assert json.loads(refused)["message"].startswith(
                "The hub has no model someone/else (or it is private"
            )
        finally:
            cluster.stop()


def test_a_broker_that_loses_its_messages_changes_nothing(stopped_site, broker, digest):
    stopped_site.environment["REDIS_URL"] = broker.url
    cluster = Cluster(stopped_site)
    try:
        cluster.start(2)
        cluster.site.manage("enqueue_model", MODEL, *ARGUMENTS)
        wait_for(cluster.running, cluster.said, pause=0.01)
        broker.kill()
        broker.start()
        wait_for(cluster.finished, cluster.said)
        assert cluster.finished() == [("ready", digest, "")]
        assert attempts(cluster) == [1] * LAYERS
    finally:
        cluster.stop()
