"""An extraction option is declared once: one more field of `ExtractOptions` is everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAST = "    notes: tuple[OptionSentence, ...] = field("
ADDED = """    shade: int = option(
        3, Integer(1, 9), MACHINE, "How dark it is, 1 to 9.", label="Darkness"
    )
"""
ASK = """
import json, sys
import click, django
django.setup()
from django.core.management import load_command_class
from annotation_site.api.serializers.corpus import NewExtraction
from annotation_site.corpus.forms import EnqueueForm
from ffn_extract.cli import main
from ffn_extract.errors import OptionError
from ffn_extract.options import ExtractOptions, flag_of

posted = {"model": "gpt2", "extent": "sample", "kinds": ["value"], "per_layer": 2, "seed": 0,
          "keys_of": "sample", "glosses": "none", "projection": "raw",
          "random_grain": "dimension", "shade": 7}
form = EnqueueForm(posted)
assert form.is_valid(), form.errors
field, sent = form.fields["shade"], NewExtraction().fields["shade"]
command = load_command_class("annotation_site", "enqueue_model").create_parser("manage.py", "it")
typed = {flag: one for one in main.commands["extract"].params for flag in one.opts}["--shade"]
try:
    ExtractOptions(shade=10)
except OptionError as error:
    refused = error.named(flag_of)
print(json.dumps(default=str, obj={
    "command line": [typed.help, typed.default, typed.heading],
    "form": [field.label, field.help_text, field.min_value, field.max_value, field.initial],
    "posted": form.cleaned_data["options"].to_json()["shade"],
    "serializer": [sent.help_text, sent.min_value, sent.max_value, sent.required],
    "command": command.parse_args(["gpt2", "--shade", "7"]).shade,
    "command's default": command.parse_args(["gpt2"]).shade,
    "parameters": [ExtractOptions(shade=7).recorded()["shade"], "shade" in
                   ExtractOptions().recorded()],
    "read back": ExtractOptions.from_json(ExtractOptions(shade=7).to_json()).shade,
    "refused": refused,
}))
"""


def test_one_more_field_is_on_the_command_lines_the_page_the_api_and_in_the_bundle(tmp_path):
    shutil.copytree(ROOT / "ffn_extract", tmp_path / "ffn_extract")
    path = tmp_path / "ffn_extract/options.py"
    before = path.read_text()
    assert before.count(LAST) == 1
    path.write_text(before.replace(LAST, ADDED + LAST))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "command line": ["How dark it is, 1 to 9.", 3, "Model and machine"],
        "form": ["Darkness", "How dark it is, 1 to 9.", 1, 9, 3],
        "posted": 7,
        "serializer": ["How dark it is, 1 to 9.", 1, 9, False],
        "command": 7,
        "command's default": 3,
        "parameters": [7, False],
        "read back": 7,
        "refused": "--shade must be a whole number from 1 to 9, not 10.",
    }
