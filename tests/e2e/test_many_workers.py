"""An extraction of every value vector over several workers, whatever happens to them."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from annotation_site.serving import free_port, worker_command
from tests import requires
from tests.e2e.site import MODEL, ROOT, Site, demo_model, wait_for
from tests.ffn_extract.hub_server import MODEL as HUB_MODEL
from tests.ffn_extract.hub_server import OTHER_COMMIT, Hub, served

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
LAYERS, D_FF, DRAWN = 6, 1536, 10
ARGUMENTS = ("--kinds", "value,random", "--per-layer", "all", "--glosses", "none")


EXTRACTING = worker_command("extraction", concurrency=1)
TAKING_EVERYTHING = [
    sys.executable, "-m", "celery", "--app", "annotation_site", "worker", "--concurrency", "2",
]  # fmt: skip


class Cluster:
    """A site without a web server, and workers that the test starts and kills."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.workers: list[subprocess.Popen[bytes]] = []
        self._logs: list[Path] = []
        if "REDIS_URL" not in site.environment:
            code = "from annotation_site.celery import prepare_queue; prepare_queue()"
            site.manage("shell", "--verbosity", "0", "-c", code)

    def start(self, count: int, command: Sequence[str] = EXTRACTING) -> None:
        """Start workers; returns when all say that they live."""
        for _ in range(count):
            log = self.site.folder / f"worker-{len(self.workers)}.log"
            self._logs.append(log)
            with log.open("wb") as file:
                self.workers.append(
                    subprocess.Popen(
                        command,
                        cwd=ROOT, env=self.site.environment, stdout=file, stderr=file,
                        start_new_session=True,
                    )
                )  # fmt: skip

        alive = "SELECT 1 FROM workers_worker"
        wait_for(lambda: len(self.rows(alive)) == count, self.said)

    def enqueue(self) -> None:
        self.site.manage("enqueue_model", MODEL, *ARGUMENTS)

    def kill(self, worker: str) -> None:
        """SIGKILL for a worker with its children, as a power cut does. `worker` is its name."""
        pid = int(worker.split(":")[1])
        assert pid in [process.pid for process in self.workers]
        os.killpg(pid, signal.SIGKILL)

    def rows(self, sql: str) -> list[tuple]:
        """A query straight from the database: the state of a moment, without starting Django."""
        url = self.site.environment.get("DATABASE_URL")
        if url is None:
            connection = sqlite3.connect(self.site.folder / "db.sqlite3", timeout=20)
        else:
            import psycopg2

            connection = psycopg2.connect(url)
        with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def said(self) -> str:
        """What the workers printed, for the message of a failed wait."""
        state = self.rows("SELECT state, step, attempts, error, notice FROM corpus_extraction")
        layers = self.rows(
            "SELECT layer, state, worker, attempts, done FROM corpus_extractionlayer"
        )
        return "\n".join(
            [str(state), str(layers), *(log.read_text()[-3000:] for log in self._logs)]
        )

    def running(self) -> list[tuple[int, str]]:
        """Layers being done, and by whom."""
        return self.rows(
            "SELECT layer, worker FROM corpus_extractionlayer WHERE state = 'running' AND done > 0"
        )

    def finished(self) -> list[tuple]:
        return self.rows(
            "SELECT state, bundle_digest, error FROM corpus_extraction "
            "WHERE state IN ('ready', 'failed')"
        )

    def layers(self) -> list[tuple[str, str, int, int, int]]:
        return self.rows(
            "SELECT state, worker, attempts, done, total FROM corpus_extractionlayer ORDER BY layer"
        )

    def stop(self) -> None:
        for process in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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


@pytest.fixture
def cluster(stopped_site):
    cluster = Cluster(stopped_site)
    yield cluster
    cluster.stop()


def attempts(cluster: Cluster) -> list[int]:
    """How often each layer was begun, where all are done and whole."""
    layers = cluster.layers()
    assert [(state, done, total) for state, _, _, done, total in layers] == [
        ("done", D_FF + DRAWN, D_FF + DRAWN)
    ] * LAYERS
    return [layer[2] for layer in layers]


def test_one_worker_with_two_children_makes_the_bundle_of_a_single_process(cluster, digest):
    cluster.start(1, TAKING_EVERYTHING)
    cluster.enqueue()
    wait_for(cluster.finished, cluster.said)
    assert cluster.finished() == [("ready", digest, "")]
    assert attempts(cluster) == [1] * LAYERS


def test_four_workers_share_an_extraction_whose_messages_come_twice(cluster, digest):
    cluster.start(4)
    cluster.enqueue()
    code = (
        "from annotation_site.corpus.tasks import extraction_work\n"
        "from annotation_site.corpus.models import Extraction\n"
        "for _ in range(20): extraction_work.delay(Extraction.objects.get().pk)"
    )
    cluster.site.manage("shell", "--verbosity", "0", "-c", code)
    wait_for(cluster.finished, cluster.said)
    assert cluster.finished() == [("ready", digest, "")]
    assert attempts(cluster) == [1] * LAYERS
    assert len({worker for _, worker, *_ in cluster.layers()}) > 1
    assert cluster.rows("SELECT count(*) FROM corpus_vector") == [(LAYERS * (D_FF + DRAWN),)]
    (public_id,) = os.listdir(cluster.site.folder / "bundles")  # and no parts beside it
    assert not public_id.startswith(".")


def test_a_worker_killed_in_the_middle_of_a_layer_costs_that_layer_alone(cluster, digest):
    cluster.start(2)
    cluster.enqueue()
    layer, worker = wait_for(cluster.running, cluster.said, pause=0.01)[0]
    cluster.kill(worker)
    wait_for(cluster.finished, cluster.said)
    assert cluster.finished() == [("ready", digest, "")]
    expected = [1] * LAYERS
    expected[layer] = 2
    assert attempts(cluster) == expected
    assert cluster.layers()[layer][1] != worker


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
            wait_for(cluster.finished, cluster.said)
            assert cluster.finished() == [("ready", manifest["digest"], "")]
            assert attempts(cluster) == [1] * LAYERS
            assert len({worker for _, worker, *_ in cluster.layers()}) > 1
            stopped_site.manage("enqueue_model", "someone/else", *ARGUMENTS)
            wait_for(lambda: len(cluster.finished()) == 2, cluster.said)
            (refused,) = (said for state, _, said in cluster.finished() if state == "failed")
            assert refused.startswith("The hub has no model someone/else (or it is private")
        finally:
            cluster.stop()


@pytest.fixture
def broker(tmp_path):
    """A Redis of the test's own, which keeps nothing over a restart."""
    program = shutil.which("redis-server")
    if program is None:
        requires.missing("No redis-server: install the system's package redis.")
    broker = Broker(program, tmp_path, free_port("127.0.0.1", 21_000))
    broker.start()
    yield broker
    broker.kill()


class Broker:
    def __init__(self, program: str, folder: Path, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(folder),
        ]  # fmt: skip

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self.url)
        wait_for(lambda: answers(client))
        client.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_broker_that_loses_its_messages_changes_nothing(stopped_site, broker, digest):
    stopped_site.environment["REDIS_URL"] = broker.url
    cluster = Cluster(stopped_site)
    try:
        cluster.start(2)
        cluster.enqueue()
        wait_for(cluster.running, cluster.said, pause=0.01)
        broker.kill()
        broker.start()
        wait_for(cluster.finished, cluster.said)
        assert cluster.finished() == [("ready", digest, "")]
        assert attempts(cluster) == [1] * LAYERS
    finally:
        cluster.stop()
