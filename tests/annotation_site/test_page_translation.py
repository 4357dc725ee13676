"""Pages that a browser translates: what is data keeps its exact words, on every page.

Marker words stand in the database wherever people or models wrote something. Every text of every
page that holds one must lie in an element that says `translate="no"` and has the class that older
tools know.
"""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from lxml import etree, html

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Item
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from tests.annotation_site.accounts.second_factor import confirm
from tests.annotation_site.addresses import GET, address
from tests.annotation_site.factories import (
    UserFactory,
    log_in,
)
from tests.annotation_site.marked_words import world  # noqa: F401

pytestmark = pytest.mark.django_db
TEMPLATES = Path(settings.BASE_DIR) / "annotation_site/templates"
MARKER = re.compile(r"zq\w+")
# No text of the page: a browser leaves these alone, or shows them in its own frame.
NOT_TEXT = {"script", "style", "title", "textarea", "template"}


def left_open(content: bytes) -> set[str]:
    """The marker words of a page that another program may rewrite."""
    tree = html.fromstring(content)
    found = set()
    for text in tree.xpath("//text()"):
        words = MARKER.findall(str(text))
        holder = text.getparent() if not text.is_tail else text.getparent().getparent()
        line = [holder, *holder.iterancestors()]
        if not words or any(e.tag in NOT_TEXT for e in line):
            continue
        kept = next((e for e in line if e.get("translate") is not None), None)
        if kept is None or kept.get("translate") != "no" or not _for_older_tools(line):
            around = html.tostring(holder, encoding="unicode")[:160]
            found |= {f"{word} in {around}" for word in words}
    return found


def _for_older_tools(line: list[etree._Element]) -> bool:
    return any("notranslate" in e.get("class", "").split() for e in line)


def test_every_page_keeps_the_words_of_people_and_models(world):  # noqa: F811
    study, assignment, clients = world
    faults, seen = [], set()
    for name in (name for name in GET if not name.startswith("api:")):
        for role, client in clients.items():
            response = client.get(address(name, study, assignment))
            if response.streaming:
                list(response.streaming_content)  # to its end, which closes the file
                continue
            if not response["Content-Type"].startswith("text/html"):
                continue
            seen |= set(re.findall(rb"zq([a-z]+)", response.content))
            if response.content and (found := left_open(response.content)):
                faults += [f"{name} ({role}): {word}" for word in sorted(found)]
    assert not faults, "\n".join(faults)
    planted = (
        b"token user model revision digest family source bundle parameter title description corpus"
    )
    assert seen >= set(planted.split())


def test_pages_between_and_after_forms_keep_them_too(world):  # noqa: F811
    study, assignment, clients = world
    shown = []

    def visit(role: str, url: str, body: dict[str, str] | None = None) -> None:
        client = clients[role]
        response = client.get(url) if body is None else client.post(url, body)
        while response.status_code == 302:
            response = client.get(response["Location"])
        assert response.status_code in (200, 422), (url, response.status_code)
        shown.append(response.content)
        assert left_open(response.content) == set(), url

    training = assignment.membership.assignments.filter(purpose="training").first()
    visit("annotator", reverse("annotation:feedback", args=[training.public_id]))
    for own in assignment.membership.assignments.order_by("position"):
        visit("annotator", reverse("annotation:list", args=[own.public_id]))
    researcher = User.objects.get(memberships__study=study, memberships__role="researcher")
    item = Item.objects.filter(study=study, use="study", assignments__version__gt=0).first()
    final = adjudicated_annotation_open(item=item, by=researcher)
    visit("researcher", reverse("annotation:adjudication", args=[final.public_id]))
    person = assignment.membership.user
    visit("admin", reverse("accounts:reset_link", args=[person.public_id]), {})
    visit("admin", reverse("accounts:erase", args=[person.public_id]), {"name": "nobody"})
    clients["fresh"] = log_in(researcher)
    confirm(clients["fresh"])
    token = {"name": "zqtokenname", "scopes": ["read"], "days": "7"}
    visit("fresh", reverse("accounts:token_new"), token)
    visit("fresh", reverse("accounts:tokens"))
    visit("admin", reverse("accounts:invite"), {
        "role": "annotator", "days": "7", "uses": "1", "study": ""})  # fmt: skip
    newcomer = UserFactory(username="zqnewcomer")
    for url, body in (
        ("annotation:people", {"person": newcomer.public_id}),
        ("annotation:duplicate", {"title": "zqcopy"}),
        ("annotation:run", None),
        ("results:lists", None),
    ):
        visit("researcher", reverse(url, args=[study.slug]), body)
    visit("researcher", reverse("annotation:person", args=[study.slug, newcomer.public_id]),
          {"action": "release"})  # fmt: skip
    visit("annotator", reverse("annotation:withdraw", args=[study.slug]), {})
    everything = b"".join(shown)
    for word in (b"zqcomment", b"zqother", b"zqtokenname", b"zqnewcomer", b"zqcopy", b"zqtitle"):
        assert word in everything


def test_elements_for_exact_words_are_marked_wherever_they_are_written():
    """`bdi`, `code` and `kbd` hold words as they are; the one of a gloss may be translated."""
    for path in sorted(TEMPLATES.rglob("*.html")):
        for tag in re.findall(r"<(?:bdi|code|kbd|samp)\b[^>]*>", path.read_text()):
            if "gloss" not in tag:
                assert 'translate="no"' in tag, (path.name, tag)
                assert re.search(r'class="[^"]*\bnotranslate\b', tag), (path.name, tag)
