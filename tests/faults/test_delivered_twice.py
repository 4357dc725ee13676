"""The same messages again and again, run by several workers at once: one result of each."""

import hashlib

import pytest

from tests.e2e.site import MODEL, wait_for
from tests.faults.cluster import TAKING_EVERYTHING, Cluster

pytestmark = [pytest.mark.xdist_group("faults-workers")]
COPIES = 8
BEGUN = """
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.corpus.tasks import extraction_work
from annotation_site.results.files.jobs import export_request
from annotation_site.results.snapshots.services import snapshot_request
from annotation_site.results.tasks import export_write, snapshot_compute_due
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import make_extraction, make_study, submit
study = make_study(annotators=2, lists_per_layer=2, extraction=make_extraction(per_layer=2))
for assignment in list(study.memberships.filter(role="annotator").first().assignments.all()):
    submit(assignment)
researcher = study.memberships.get(role="researcher").user
options = ExtractOptions(kinds=("value",), per_layer=5, glosses=())
extraction = extraction_enqueue(model_source="{model}", options=options)
snapshot = snapshot_request(study=study)
job = export_request(study=study, content="parquet", with_names=False, by=researcher)
for _ in range({copies}):
    extraction_work.delay(extraction.pk)
    snapshot_compute_due.delay(snapshot.pk)
    export_write.delay(job.pk)
"""


@pytest.mark.long
def test_each_is_done_once_however_often_its_message_comes(cluster: Cluster):
    cluster.start(2, TAKING_EVERYTHING)
    cluster.site.run(BEGUN.format(model=MODEL, copies=COPIES))
    wait_for(lambda: states(cluster) == ["ready"] * 3, cluster.said, 300)
    wait_for(lambda: waiting(cluster) == 0, cluster.said, 120)  # every copy has been taken
    assert states(cluster) == ["ready"] * 3
    exports = cluster.site.folder / "exports"
    wait_for(lambda: len(list((exports / "figures").iterdir())) == 1, cluster.said, 60)
    for table, where, attempts in (
        ("corpus_extraction", " WHERE model_source <> 'model'", 1),
        ("results_snapshot", "", 2),  # once for its tables, once for its figures
        ("results_exportjob", "", 1),
    ):
        assert cluster.rows(f"SELECT attempts FROM {table}{where}") == [(attempts,)]
    vectors = "SELECT count(*) FROM corpus_vector WHERE extraction_id IN "
    mine = "(SELECT id FROM corpus_extraction WHERE model_source <> 'model')"
    assert cluster.rows(vectors + mine) == [(6 * 5,)]
    (written,) = (path for path in exports.iterdir() if path.is_file())
    ((digest,),) = cluster.rows("SELECT sha256 FROM results_exportjob")
    assert hashlib.sha256(written.read_bytes()).hexdigest() == digest
    assert len(list((exports / "figures").iterdir())) == 1


def states(cluster: Cluster) -> list[str]:
    tables = ("corpus_extraction", "results_snapshot", "results_exportjob")
    found = [
        cluster.rows(f"SELECT state FROM {table} ORDER BY id DESC LIMIT 1") for table in tables
    ]
    return [rows[0][0] for rows in found]


def waiting(cluster: Cluster) -> int:
    """Messages that no worker has taken yet."""
    if "REDIS_URL" not in cluster.site.environment:
        return len(list((cluster.site.folder / "queue" / "messages").glob("*.msg")))
    import redis

    with redis.Redis.from_url(cluster.site.environment["REDIS_URL"]) as client:
        prefix = cluster.site.environment["QUEUE_PREFIX"]
        return sum(client.llen(prefix + queue) for queue in ("celery", "extraction"))
