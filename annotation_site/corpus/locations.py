"""Names of local models and corpora: plain names in two folders, nothing else.

A link inside these folders is followed: only who may write there could have made it, and no page
can.
"""

import re
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext, gettext_noop

from annotation_site.errors import Invalid, SiteError
from annotation_site.sentences import Sentence
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.estimate import require_possible
from ffn_extract.model_sizes import sizes_of
from ffn_extract.options import ExtractOptions

NOT_IN_FOLDER = gettext_noop(
    "The worker's machine has a file or folder %(source)s, but none of that name in %(folder)s. "
    "Put the model there."
)
NO_TEXTS = gettext_noop(
    "There are no texts “%(name)s” in %(folder)s. Put the file there and give its name, or give "
    "wordnet."
)
_PART = r"[A-Za-z0-9][\w.-]*"
MODEL_NAME = re.compile(f"{_PART}(/{_PART})?")  # of the hub, or a folder
CORPUS_NAME = re.compile(_PART)
_CONFIG, _FAIRSEQ_DICTIONARY = "config.json", "dict.txt"
CORPUS_SUFFIXES = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".parquet")


def local_models() -> list[str]:
    """Names of the model folders that an admin of the machine put into MODELS_DIR."""
    folder = Path(settings.MODELS_DIR)
    return (
        sorted(path.name for path in folder.iterdir() if is_model(path)) if folder.is_dir() else []
    )


def local_corpora() -> list[str]:
    """Names of the files of texts in CORPORA_DIR."""
    folder = Path(settings.CORPORA_DIR)
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.suffix.lower() in CORPUS_SUFFIXES)
    return sorted(name for name in names if CORPUS_NAME.fullmatch(name))


def is_model(folder: Path) -> bool:
    """Whether a path looks like a model: a folder of transformers or fairseq, or a GGUF file."""
    return says_its_sizes(folder) or (folder / _FAIRSEQ_DICTIONARY).exists()


def says_its_sizes(folder: Path) -> bool:
    """Whether the model's files give its sizes before they are read; fairseq's do not."""
    if folder.is_dir() and not (folder / _CONFIG).exists():
        return any(_is_gguf(path) for path in folder.iterdir())
    return folder.is_dir() or _is_gguf(folder)


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and path.is_file()


def local_folder(source: str) -> Path | None:
    """The folder of that name in MODELS_DIR, or the GGUF file, where there is one."""
    folder = Path(settings.MODELS_DIR) / source
    return folder if MODEL_NAME.fullmatch(source) and is_model(folder) else None


def require_model(source: str, options: ExtractOptions) -> None:
    """Refuse an invalid model name, and a folder that clearly cannot be read.

    Raises Invalid. What the hub has is known only when it is asked.
    """
    if not source:
        raise Invalid(
            gettext("Give a model: a hub id such as gpt2, or the name of a folder in MODELS_DIR.")
        )
    if not MODEL_NAME.fullmatch(source):
        raise Invalid(
            gettext(
                "“%(source)s” is not the name of a model. Give a hub id such as gpt2, or put the "
                "model's folder into %(folder)s and give its name."
            )
            % {"source": source, "folder": settings.MODELS_DIR}
        )
    folder = local_folder(source)
    if folder is None or not says_its_sizes(folder):
        return
    try:
        require_possible(sizes_of(outline_of_folder(folder, options.gguf_file), options), options)
    except FFNExtractError as error:
        raise Invalid(str(error)) from error


def model_location(source: str) -> str:
    """The folder of that name below MODELS_DIR if there is one, else the hub id itself."""
    folder = local_folder(source)
    if folder is not None:
        return str(folder)
    if Path(source).exists():
        raise SiteError(Sentence(NOT_IN_FOLDER, source=source, folder=str(settings.MODELS_DIR)))
    return source


def file_of_texts(name: str) -> str:
    """The path of a file in CORPORA_DIR. Raises Invalid."""
    path = Path(settings.CORPORA_DIR) / name
    if not CORPUS_NAME.fullmatch(name) or not path.is_file():
        raise Invalid(Sentence(NO_TEXTS, name=name, folder=str(settings.CORPORA_DIR)))
    return str(path)
