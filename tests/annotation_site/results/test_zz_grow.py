import pytest, gc, resource
from django.test import override_settings
from annotation_site.workers.memory import release
from annotation_site.results.snapshots.services import snapshot_refresh_now, figures_print
from annotation_site.results.files import jobs
from annotation_site.annotation.models import Assignment
from tests.annotation_site.factories import *
pytestmark = pytest.mark.django_db(transaction=True)
def rss():
    return int(open('/proc/self/statm').read().split()[1])*4096>>20
def test_it(settings, tmp_path):
    settings.EXPORTS_DIR = tmp_path
    study = make_study(extraction=make_extraction(per_layer=20), lists_per_layer=20)
    todo = list(Assignment.objects.filter(item__study=study, purpose="annotation").order_by("pk"))
    r = study.memberships.get(role="researcher").user
    for n in range(14):
        for a in todo[n*8:n*8+8]: submit(a, answer(pattern(1,[1,2,3,4])))
        b = rss()
        s = snapshot_refresh_now(study=study); release(); c = rss()
        figures_print(snapshot_id=s.pk); release(); d = rss()
        job = jobs.export_request(study=study, content="jsonl", with_names=False, by=r)
        jobs.export_run(job_id=job.pk); release(); e = rss()
        print(n, "before", b, "snapshot", c, "figures", d, "export", e, s.state, flush=True)
    assert 0
