"""Prompts of a study's language models: the current text, and a change as a new version."""

from django.db import transaction
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import study_locked
from annotation_site.annotation.lists.annotation_format import is_storable
from annotation_site.annotation.models import Guidelines, Study
from annotation_site.annotation.selectors import newest_text, studies_of
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT, PROMPT_MOST
from annotation_site.machine_annotators.models import MachinePrompt

MOST_VERSIONS_A_DAY = 50


def prompt_current(study: Study) -> tuple[int, str]:
    """The newest version of a study's prompt, and its text; version 0 comes with the site."""
    newest = newest_text(MachinePrompt, study)
    return (newest.version, newest.text) if newest else (0, DEFAULT_PROMPT)


def prompt_text(study: Study, version: int) -> str:
    """The text of a version of a study's prompt."""
    if version == 0:
        return DEFAULT_PROMPT
    return MachinePrompt.objects.get(study=study, version=version).text


def guidelines_current(study: Study) -> tuple[int, str]:
    """The newest version of a study's guidelines and its text; 0 and nothing without any."""
    newest = newest_text(Guidelines, study)
    return (newest.version, newest.text) if newest else (0, "")


def guidelines_text(study: Study, version: int) -> str:
    """The text of a version of a study's guidelines; nothing for version 0."""
    return Guidelines.objects.get(study=study, version=version).text if version else ""


@transaction.atomic
def prompt_save(*, study: Study, text: str, base: int, by: User | None = None) -> MachinePrompt:
    """Save a changed prompt as a new version; the runs that there are keep theirs.

    `base` is the version that the text was written from. A text equal to the newest version saves
    nothing, and returns that; the site's own text, unchanged, is version 0 and has no row. Raises
    Invalid for a text that is empty or longer than PROMPT_MOST, where another version was saved
    meanwhile, and beyond MOST_VERSIONS_A_DAY; NotAllowed for a person who does not run the study.
    """
    require_runs_study(study, by)
    study = study_locked(study.pk)
    text = "\n".join(text.split("\r\n")).strip()  # forms send CRLF
    newest = newest_text(MachinePrompt, study)
    version, current = (newest.version, newest.text) if newest else (0, DEFAULT_PROMPT)
    if text == current.strip():
        return newest or MachinePrompt(study=study, version=0, text=DEFAULT_PROMPT)
    _check(text)
    if base != version:
        raise Invalid(
            gettext(
                "Nothing is saved: the prompt changed after you opened this page. Copy what you "
                "wrote, open this page again, and add it to the newer text."
            )
        )
    require_room(
        MachinePrompt.objects.filter(study=study),
        most=MOST_VERSIONS_A_DAY,
        sentence=gettext(
            "A prompt can change %(most)s times a day, and this one has. Nothing is saved: copy "
            "what you wrote, and save it tomorrow (UTC)."
        )
        % {"most": MOST_VERSIONS_A_DAY},
    )
    saved = MachinePrompt.objects.create(study=study, version=version + 1, text=text)
    audit.record("machine_annotator_prompt_changed", target=study, actor=by, version=saved.version)
    return saved


def require_runs_study(study: Study, by: User | None) -> None:
    """Raises NotAllowed unless the person is a researcher of the study, or an admin.

    Nobody is a command on the site's machine, which may everything.
    """
    if by is None or (by.is_researcher and studies_of(by).filter(pk=study.pk).exists()):
        return
    raise NotAllowed(
        gettext("Only researchers of the study and admins let language models annotate it.")
    )


def _check(text: str) -> None:
    if not text:
        raise Invalid(gettext("The prompt is empty. Write what the language model is to do."))
    if not is_storable(text):
        raise Invalid(gettext("The prompt has characters that cannot be stored. Remove them."))
    if len(text) > PROMPT_MOST:
        raise Invalid(
            gettext("The prompt has %(n)s characters; at most %(most)s are allowed. Shorten it.")
            % {"n": f"{len(text):,}", "most": f"{PROMPT_MOST:,}"}
        )
