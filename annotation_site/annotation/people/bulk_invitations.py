"""Many invitations at once, from pasted lines or the text of a CSV file; one for each person.

Names and addresses are read, shown back once with the links, and not stored.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from annotation_site.accounts.invitations import MOST_TEXT
from annotation_site.accounts.models import Invitation, Role, User
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.people.joining import invitation_check, person_invite
from annotation_site.annotation.selectors import studies_of
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.exports import Column, Table

MOST_LINES = 500
MOST_CELL = 254  # characters of a name or an address
COLUMNS = ("name", "email", "role", "study")


@dataclass(frozen=True)
class Line:
    """A person to invite; `error` is the sentence why that cannot be, else empty."""

    number: int
    name: str
    email: str
    role: str
    study: str  # its short name; "" for none
    error: str = ""

    @property
    def study_role(self) -> str:
        """The role in the study: researchers and admins run it."""
        if not self.study:
            return ""
        is_annotator = self.role == Role.ANNOTATOR
        return Membership.Role.ANNOTATOR if is_annotator else Membership.Role.RESEARCHER


def lines_read(text: str, *, by: User, role: str, study: Study | None) -> list[Line]:
    """The people of a text, each with what is wrong with its line.

    Cells stand between commas, semicolons or tabs: name, email, role, study, or as a first line
    with these words says. A cell alone is a name, or an address if it has an "@". What a line does
    not say is `role` and `study`. Raises Invalid for a text without people, or that is too long.
    """
    if len(text) > MOST_TEXT:
        raise Invalid(
            _("The text has more than %(most)s characters. Invite people in several parts.")
            % {"most": f"{MOST_TEXT:,}"}
        )
    rows = list(_rows(text))
    if len(rows) > MOST_LINES:
        raise Invalid(
            _("The text has more than %(most)s people. Invite them in several parts.")
            % {"most": MOST_LINES}
        )
    if not rows:
        raise Invalid(_("Write one name or e-mail address per line, then look at the preview."))
    default = Line(0, "", "", role, study.slug if study else "")
    lines = [_line(number, row, default) for number, row in rows]
    studies = {one.slug: one for one in studies_of(by)}
    seen: dict[str, int] = {}
    checked = []
    for line in lines:
        who = (line.email or line.name).casefold()
        error = line.error or _wrong(line, by, studies)
        if not error and who in seen:
            error = _("This is the same person as in line %(n)s.") % {"n": seen[who]}
        seen.setdefault(who, line.number)
        checked.append(replace(line, error=error))
    return checked


@transaction.atomic
def people_invite(
    *, by: User, lines: Sequence[Line], days: int
) -> list[tuple[Line, Invitation, str]]:
    """Make an invitation for one use for each line; returns them with the tokens of their links.

    Raises Invalid, and makes none, when a line has an error.
    """
    if wrong := [line.number for line in lines if line.error]:
        raise Invalid(
            _("Line %(n)s cannot be used. Correct it, then look at the preview again.")
            % {"n": wrong[0]}
        )
    studies = {one.slug: one for one in studies_of(by)}
    made = []
    for line in lines:
        invitation, token = person_invite(
            by=by,
            role=line.role,
            days=days,
            uses=1,
            study=studies.get(line.study),
            study_role=line.study_role,
        )
        made.append((line, invitation, token))
    return made


def links_table(rows: Iterable[Sequence[str]]) -> Table:
    """The table of links for a file: name, email, role, study, link."""
    columns = tuple(Column(name, "text") for name in (*COLUMNS, "link"))
    return Table("invitations", columns, [tuple(row) for row in rows])


def _rows(text: str) -> Iterable[tuple[int, dict[str, str]]]:
    """Numbered rows of cells by the name of their column, without empty ones and the heading."""
    names: Sequence[str] | None = None
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        mark = max("\t;,", key=line.count)
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
        except (csv.Error, StopIteration):
            cells = [line.strip()]
        if names is None:
            words = [cell.casefold() for cell in cells]
            is_heading = {"name", "email"} & set(words) and set(words) <= {*COLUMNS, ""}
            names = words if is_heading else COLUMNS
            if is_heading:
                continue
        if len(cells) == 1 and "@" in cells[0]:
            cells = ["", cells[0]]
        row = dict(zip(names, cells, strict=False))
        if len(cells) > len(names):
            row["more"] = cells[len(names)]
        yield number, row


def _line(number: int, row: Mapping[str, str], default: Line) -> Line:
    error = ""
    if row.get("more"):
        error = _("This line has more cells than name, email, role and study.")
    return Line(
        number=number,
        name=row.get("name", ""),
        email=row.get("email", ""),
        role=row.get("role", "").casefold() or default.role,
        study=row.get("study", "") or default.study,
        error=error,
    )


def _wrong(line: Line, by: User, studies: Mapping[str, Study]) -> str:
    """The sentence why a line cannot be used; empty if it can."""
    if not line.name and not line.email:
        return _("This line has neither a name nor an address.")
    if max(len(line.name), len(line.email)) > MOST_CELL:
        return _("A name or an address has at most %(most)s characters.") % {"most": MOST_CELL}
    if line.email:
        try:
            validate_email(line.email)
        except ValidationError:
            return _("This is not an e-mail address.")
    if line.study and line.study not in studies:
        return _("You run no study of this name. Write its short name, as in its address.")
    try:
        study = studies.get(line.study)
        invitation_check(by=by, role=line.role, study=study, study_role=line.study_role)
    except (Invalid, NotAllowed) as error:
        return error.message
    return ""
