"""Redis is killed and comes back empty, with messages on their way and workers at work."""

import logging

import pytest
from kombu import Connection
from kombu.transport import redis

from annotation_site.workers.redis_queue import QoS
from tests.e2e.site import MODEL, wait_for
from tests.faults.cluster import COMPUTING, EXTRACTING, Cluster

pytestmark = [pytest.mark.xdist_group("faults-services")]
BEGUN = """
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.results.files.jobs import export_request
from annotation_site.results.snapshots.services import snapshot_request
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import make_extraction, make_study, submit
study = make_study(annotators=2, lists_per_layer=2, extraction=make_extraction(per_layer=2))
for assignment in list(study.memberships.filter(role="annotator").first().assignments.all()):
    submit(assignment)
researcher = study.memberships.get(role="researcher").user
options = ExtractOptions(kinds=("value",), per_layer=5, glosses=())
for seed in range(2):
    extraction_enqueue(model_source="{model}", options=options)
snapshot_request(study=study)
export_request(study=study, content="jsonl", with_names=False, by=researcher)
"""
PATIENCE = 300  # seconds
STATES = (
    "SELECT state FROM corpus_extraction WHERE model_source <> 'model'",
    "SELECT state FROM results_snapshot",
    "SELECT state FROM results_exportjob",
)


@pytest.fixture
def cluster(stopped_site, broker):
    stopped_site.environment["REDIS_URL"] = broker.url
    cluster = Cluster(stopped_site)
    yield cluster
    cluster.stop()


@pytest.mark.long
def test_messages_that_redis_lost_are_sent_again_and_workers_go_on(cluster, broker):
    """Killed with four messages that nobody has taken; and again with workers connected to it."""
    cluster.site.run(BEGUN.format(model=MODEL))
    broker.kill()
    broker.start()
    cluster.start(1, EXTRACTING, COMPUTING)
    taken = "SELECT 1 FROM corpus_extraction WHERE state IN ('running', 'loading')"
    wait_for(lambda: cluster.rows(taken), cluster.said, PATIENCE, pause=0.02)
    broker.kill()
    broker.start()
    wait_for(lambda: states(cluster) == ["ready"] * 4, cluster.said, PATIENCE)


def test_a_person_submits_and_asks_for_files_while_redis_is_away(cluster, broker):
    """Nothing but the database is asked; what is due then is found when workers look."""
    broker.kill()
    cluster.site.run(BEGUN.format(model=MODEL))
    assert states(cluster) == ["queued", "queued", "due", "due"]
    broker.start()
    cluster.start(1, COMPUTING)
    wait_for(lambda: states(cluster)[2:] == ["ready", "ready"], cluster.said, PATIENCE)


def test_who_cannot_acknowledge_a_message_asks_on_and_hears_of_the_loss(broker, monkeypatch):
    """Redis ends while the only message that a worker may hold is worked on."""
    monkeypatch.setattr(redis.Channel, "QoS", QoS)
    with Connection(broker.url) as connection:
        queue = connection.SimpleQueue("work")
        queue.consumer.qos(prefetch_count=1)
        queue.put("first")
        first = queue.get(timeout=120)
        assert not queue.channel.qos.can_consume()
        broker.kill()
        first.ack_log_error(logging.getLogger(__name__), connection.connection_errors)
        assert queue.channel.qos.can_consume()
        broker.start()
        with pytest.raises(connection.connection_errors):  # at which a worker connects again
            queue.get(timeout=120)


def states(cluster: Cluster) -> list[str]:
    return [state for sql in STATES for (state,) in cluster.rows(sql)]
