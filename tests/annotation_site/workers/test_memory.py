"""A worker is as large after many tasks as after the first."""

import json
import subprocess
import sys

import pytest

TASKS = 6
DRAWING = f"""
import json
from pathlib import Path
from annotation_site.celery import app
from annotation_site.results.figures.canvas import page_figure, printed, write

def draw(ink, width):
    figure, pixels = page_figure(width, 1200)
    write(figure, pixels, 10, 10, "A figure", size=12, color=ink.text)
    return figure

@app.task
def print_figure():
    printed(draw, "png", title="A figure")  # the one with a picture of megabytes

sizes = []
for _ in range({TASKS}):
    print_figure.apply().get()
    sizes.append(int(Path("/proc/self/statm").read_text().split()[1]))  # pages that are resident
print(json.dumps(sizes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/statm is Linux's")
def test_figures_that_tasks_have_drawn_do_not_stay_in_memory():
    ended = subprocess.run(
        [sys.executable, "-c", DRAWING], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    first, *later = json.loads(ended.stdout.splitlines()[-1])
    assert len(later) == TASKS - 1
    assert max(later) < 1.1 * first
