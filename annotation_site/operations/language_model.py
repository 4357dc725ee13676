"""Checks of the language model that annotates: what is set up, and whether it replies."""

from importlib.util import find_spec

from django.conf import settings

from annotation_site.corpus.locations import MODEL_NAME, local_folder
from annotation_site.machine_annotators.answerers import (
    NoReply,
    Request,
    answerer_open,
    configured,
)

_QUESTION = [
    {"role": "system", "content": "You are asked whether you work."},
    {"role": "user", "content": "Reply with the word OK."},
]


def language_model_set_up() -> tuple[str, str]:
    """The level and sentence of a finding about the settings; asks nobody."""
    found = configured()
    if found is None:
        return "ok", "none is set up."
    if not found.is_local:
        key = "" if settings.LLM_API_KEY else ", without a key"
        if find_spec("openai") is None:
            return "look", f"{found.model} at {found.endpoint_host}, but openai is not installed."
        return "ok", f"{found.model} at {found.endpoint_host}{key}."
    if not MODEL_NAME.fullmatch(found.model):
        return "wrong", (
            f"LLM_MODEL is {found.model}, which is no model's name. Give a hub id, or the name of "
            f"a folder or GGUF file in {settings.MODELS_DIR}; for an endpoint, set LLM_ENDPOINT."
        )
    if local_folder(found.model) is None:
        return "ok", f"{found.model}, which a worker fetches from the hub when a run needs it."
    return "ok", f"{found.model} in {settings.MODELS_DIR}."


def language_model_replies() -> tuple[str, str]:
    """The level and sentence of a finding about one short reply of the language model."""
    try:
        answerer = answerer_open()
    except NoReply as error:
        return "wrong", error.sentence
    try:
        ((_, found),) = answerer.ask([Request(_QUESTION, 0.0, 0, 16)])
    finally:
        answerer.close()
    if isinstance(found, NoReply):
        return "wrong", found.sentence
    return "ok", f"{found.model_version or settings.LLM_MODEL} replied in {found.seconds:.1f} s."
