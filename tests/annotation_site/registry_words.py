"""Collects the words of pure packages that pages show, which makemessages does not find.

`python -m tests.annotation_site.registry_words` writes `annotation_site/registry_words.py` again.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "annotation_site/registry_words.py"
HEAD = '''"""Words of options, steps and measures for makemessages; their packages know no Django.

Made by `python -m tests.annotation_site.registry_words`; do not edit.
"""

# ruff: noqa: E501
# fmt: off
from django.utils.translation import gettext_noop

WORDS = (
'''
# Parts of sentences that remarks.py has in full, and a word for authors.
PARTS = {
    "1 layer has", "has one list and is", "have one list and are", "above 0", "below 1",
    "of all models", "1 person", "no interval for people like these: ", "two people", "a person",
    "no list has", "only 1 list has", "1 person is", "people and machine",
}  # fmt: skip
BECAUSE = "undefined, because "


def literals(path: Path) -> Iterator[str]:
    """Texts of two words or more in a module, but for docstrings, errors and f-strings."""
    tree = ast.parse(path.read_text())
    apart: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr):
            apart |= {id(inner) for inner in ast.walk(node)}
        elif isinstance(node, ast.Expr):
            apart.add(id(node.value))
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in apart and " " in text.strip():
            yield text


def words_of_options() -> list[str]:
    """What the form of an extraction asks to be translated: made words ("Value tensor") too."""
    from django.utils.translation.trans_real import DjangoTranslation

    from annotation_site.corpus.forms import EnqueueForm
    from ffn_extract.options import OPTIONS
    from tests.annotation_site.pseudo_locale import trans_real_active

    asked: list[str] = []

    class Recorder(DjangoTranslation):
        def gettext(self, message: str) -> str:
            asked.append(message)
            return message

    with trans_real_active(Recorder("en")):
        for name in OPTIONS:
            field = EnqueueForm.base_fields[name]
            choices = (word for _, word in getattr(field, "choices", ()))
            for word in (field.label, field.help_text, *choices):
                str(word)  # asks
    return asked


def words_of_measurements() -> list[str]:
    """What the form of a measurement asks of its options, and the steps of a run."""
    from django.forms.utils import pretty_name

    from annotation_site.measurements.options import OFFERED
    from ffn_extract.option_types import Choice
    from ffn_extract.progress import MEASUREMENT_STEPS, TRACE_STEPS

    found = [title for _, title in (*MEASUREMENT_STEPS, *TRACE_STEPS)]
    for one in OFFERED.values():
        choices = one.type.meanings.values() if isinstance(one.type, Choice) else ()
        help = one.help if one.page_help is None else one.page_help
        found += [one.label or pretty_name(one.name), help, *choices]
    return found


def words_of_measures() -> list[str]:
    """Names, definitions and units of measures, and remarks about values."""
    from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES

    sources = {one.source for one in AGREEMENT_MEASURES.values()}
    tables = ROOT / "annotation_site/results/tables"
    modules = [*sorted((ROOT / "annotation_site/analysis").rglob("*.py")),
               tables / "registry.py", tables / "request.py"]  # fmt: skip
    found = [text for path in modules for text in literals(path)]
    shown = [text for text in found if text not in sources | PARTS]
    reasons = [t.removeprefix(BECAUSE).rstrip(".") if t.startswith(BECAUSE) else t for t in shown]
    return [*(one.unit for one in AGREEMENT_MEASURES.values()), "annotations", *reasons]


def registry_words() -> list[str]:
    """All of them, each once."""
    from ffn_extract.bundle.manifest import UNEMBEDDINGS
    from ffn_extract.progress import STEPS

    steps = [title for _, title in STEPS]
    found = [
        *words_of_options(), *steps, *UNEMBEDDINGS.values(), *words_of_measurements(),
        *words_of_measures(),
    ]  # fmt: skip
    return [word for word in dict.fromkeys(found) if word]


def module() -> str:
    """What the module that holds them must say."""
    return HEAD + "".join(f"    gettext_noop({word!r}),\n" for word in registry_words()) + ")\n"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    TARGET.write_text(module())
