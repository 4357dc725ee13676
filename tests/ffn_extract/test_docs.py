"""The documentation names what the registries and schemas hold."""

import re
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.architectures.formats import lines
from ffn_extract.bundle import open_bundle
from ffn_extract.bundle.apart import MOST_MEMORY_MB
from ffn_extract.bundle.contents import CONTENTS
from ffn_extract.bundle.parquet import MAX_FOOTER_BYTES, MAX_GROUP_ROWS
from ffn_extract.bundle.rows import LONGEST_TEXTS
from ffn_extract.errors import GlossError
from ffn_extract.glosses import GLOSS_SOURCES, Gloss, gloss_each
from ffn_extract.glosses.wiki_settings import WikiSettings
from ffn_extract.limits import MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.scorers import scores_of
from ffn_extract.measurements.word_lists import WORDS
from ffn_extract.options import VECTOR_KINDS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_extending_lists_every_family():
    (families,) = re.findall(r"Families now: ([\w,\s-]+)\.", (DOCS / "extending.md").read_text())
    assert re.split(r",\s", families) == sorted(ARCHITECTURES)


def test_formats_has_the_tables_that_the_command_prints():
    first, second = "\n".join(lines()).split("\n\n")
    text = (DOCS / "formats.md").read_text()
    assert f"\n\n{first}\n\n" in text
    assert f"\n\n{second}\n" in text


def test_the_example_of_a_family_is_one_that_works():
    source = re.findall(r"```python\n(.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL)[0]
    namespace: dict[str, object] = {}
    exec(textwrap.dedent(source), namespace)
    assert namespace["ARCHITECTURE"] == ARCHITECTURES["mistral"]


def test_extending_lists_every_gloss_source():
    (sources,) = re.findall(r"Sources now: ([\w, ]+)\.", (DOCS / "extending.md").read_text())
    assert sources.split(", ") == sorted(GLOSS_SOURCES)


def test_the_example_of_a_gloss_source_is_one_that_works(tmp_path):
    source = re.findall(r"```python\n(.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL)[1]
    namespace: dict[str, object] = {}
    exec(textwrap.dedent(source), namespace)
    (tmp_path / "words").write_text("cat\tan animal\n", encoding="utf-8")
    glosses = namespace["GlossaryGlosses"](tmp_path / "words")
    assert list(gloss_each(["cat", "dog"], [glosses])) == [
        Gloss("an animal", "glossary", "cat"),
        None,
    ]
    with pytest.raises(GlossError, match="The glossary none cannot be read"):
        namespace["GlossaryGlosses"](tmp_path / "none")


def test_deploying_lists_every_setting_of_the_wiki():
    text = (DOCS / "deploying.md").read_text()
    defaults = WikiSettings()
    for name, default in {
        "FFN_WIKI": defaults.place,
        "FFN_WIKI_SECONDS": f"{defaults.seconds_between:g}",
        "FFN_GLOSS_DAYS": f"{defaults.days:g}",
    }.items():
        assert f"| `{name}` | `{default}` |" in text
    assert "| `FFN_CONTACT` | none |" in text


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_format_documents_every_column(content):
    text = (DOCS / "bundle-format.md").read_text()
    section = text.split(f"## {content.file}\n")[1].split("\n## ")[0]
    tables = re.findall(r"^\| column \|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    columns = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", tables[0], re.MULTILINE)
    assert [name for name, _ in columns] == content.schema.names
    assert [kind for _, kind in columns] == [_type_in_words(f.type) for f in content.schema]


def _type_in_words(kind):
    if pa.types.is_struct(kind):
        return "structs"
    return f"list of {_type_in_words(kind.value_type)}" if pa.types.is_list(kind) else str(kind)


def test_the_format_documents_every_kind_in_its_order():
    text = (DOCS / "bundle-format.md").read_text()
    (table,) = re.findall(r"^\| kind \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert tuple(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == VECTOR_KINDS


def test_the_format_documents_every_limit():
    text = (DOCS / "bundle-format.md").read_text()
    said = re.findall(r"^\| `([\w.]+)` \| ([\d,]+) bytes \|", text, re.MULTILINE)
    assert {name: int(most.replace(",", "")) for name, most in said} == LONGEST_TEXTS
    for limit in (
        f"at most {MOST_LAYERS:,} and {MOST_WIDTH:,}", f"at most {MOST_VOCABULARY:,} |",
        f"at most {MAX_FOOTER_BYTES >> 20} MiB", f"at most {MAX_GROUP_ROWS:,} rows and",
        f"at most {MOST_MEMORY_MB} MB",
    ):  # fmt: skip
        assert limit in text, limit


def test_the_format_documents_every_key_of_a_manifest(demo_bundle):
    text = (DOCS / "bundle-format.md").read_text()
    stored = open_bundle(demo_bundle.path).manifest.to_json()
    for key in [*stored, *stored["model"], *stored["parameters"], *stored["counts"]]:
        assert f"`{key}`" in text, key


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_is_listed_with_its_tables(name):
    text = (DOCS / "measurements.md").read_text()
    tables = ", ".join(f"`{table}`" for table in measurement_of(name).columns)
    assert f"\n| `{name}` | {tables} | " in text


def test_measurements_names_every_column_of_suppression_and_every_word():
    text = (DOCS / "measurements.md").read_text()
    for table, columns in measurement_of("suppression").columns.items():
        assert f"\n| `{table}` | {', '.join(f'`{column}`' for column in columns)} |\n" in text
    for attribute, words in WORDS.items():
        assert f"\n| `{attribute}` | {', '.join(words)} |\n" in text


def test_the_example_of_a_scorer_is_one_that_works():
    (source,) = re.findall(
        r"\n\n((?:    .*\n)+)\nImporting a scorer", (DOCS / "measurements.md").read_text()
    )
    namespace: dict[str, object] = {"name": "docs"}
    exec(textwrap.dedent(source), namespace)
    scorer = type("Scorer", (), {"name": "docs", "score": staticmethod(namespace["score"])})
    assert scores_of(scorer, ["x", "x" * 81]) == {"long": [0.0, 1.0]}
