"""Named sets of a model's value vectors: make, change, delete; parse typed places."""

from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.bounds import TITLE, VECTOR_SET_NOTE
from annotation_site.corpus.models import LanguageModel, VectorSet
from annotation_site.errors import Invalid, NotAllowed
from ffn_extract.chosen_vectors import Place, place_of

MOST_PLACES = 10_000  # as many as an extraction's options can name
MOST_LETTERS = 200_000  # of typed places
MOST_SETS = 2_000  # of the site
MOST_A_DAY = 100  # made by one person


def vector_sets(model: LanguageModel | None = None) -> QuerySet[VectorSet]:
    """All sets, or those of a model, the one that was changed last first."""
    found = VectorSet.objects.select_related("model", "created_by")
    return found.filter(model=model) if model is not None else found


def set_places(vector_set: VectorSet) -> list[Place]:
    """The layer and index of each vector of a set, in order."""
    return [(layer, index) for layer, index in vector_set.members]


def places_typed(text: str) -> list[Place]:
    """Parse places as people type them: LAYER:INDEX, on lines or between commas.

    Raises Invalid, naming the line, for anything else.
    """
    if len(text) > MOST_LETTERS:
        raise Invalid(_too_many(None))
    places = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.partition("#")[0].replace(",", " ").split():
            place = place_of(word)
            if place is None:
                raise Invalid(
                    gettext(
                        "Line %(line)s: “%(word)s” is no vector. Write LAYER:INDEX, such as "
                        "14:518, both counted from 0."
                    )
                    % {"line": number, "word": word[:40]}
                )
            places.append(place)
    return places


@transaction.atomic
def vector_set_make(
    *, title: str, note: str = "", model: LanguageModel, places: Iterable[Place], by: User
) -> VectorSet:
    """Make a set. Raises Invalid for a title that is empty, too long or taken, for vectors that the
    model does not have, for none and for too many; DayIsFull beyond MOST_A_DAY of one person, and
    Invalid beyond MOST_SETS of the site.
    """
    require_room(
        VectorSet.objects.filter(created_by=by),
        most=MOST_A_DAY,
        sentence=gettext(
            "You have made %(most)s sets today. Make more tomorrow, or add vectors to one that is "
            "there."
        )
        % {"most": MOST_A_DAY},
    )
    if VectorSet.objects.count() >= MOST_SETS:
        raise Invalid(
            gettext("The site has %(most)s sets. Delete one that nobody needs first.")
            % {"most": f"{MOST_SETS:,}"}
        )
    made = VectorSet(
        title=_title(title),
        note=_note(note),
        model=model,
        members=_places(places, model),
        created_by=by,
    )
    _save(made)
    audit.record("vector_set_made", target=made, actor=by, vectors=len(made.members))
    return made


@transaction.atomic
def vector_set_change(
    *,
    vector_set: VectorSet,
    by: User,
    title: str | None = None,
    note: str | None = None,
    places: Iterable[Place] | None = None,
    add: Iterable[Place] = (),
    kept: Collection[Place] = (),
    as_of: str = "",
) -> VectorSet:
    """Change a set, by its maker or an admin; what is None stays.

    `places` replaces its vectors, of which those in `kept` stay members: such as the person does
    not see. `add` adds to them. `as_of` is the `version_of` the set that the places were written
    from. Raises NotAllowed, and Invalid as `vector_set_make` and for a set that has changed since.
    """
    require_own(vector_set, by)
    locked = VectorSet.objects.select_for_update().select_related("model").get(pk=vector_set.pk)
    if as_of and as_of != version_of(locked, len(kept)):
        raise Invalid(
            gettext(
                "The set, or what you see of it, has changed since you opened its page. Open the "
                "page again, then change it."
            )
        )
    before = (locked.title, locked.note, locked.members)
    if title is not None:
        locked.title = _title(title)
    if note is not None:
        locked.note = _note(note)
    members = set(set_places(locked))
    if places is not None:
        members = set(places) | (members & set(kept))
    locked.members = _places(members | set(add), locked.model)
    if (locked.title, locked.note, locked.members) != before:
        _save(locked)
        audit.record("vector_set_changed", target=locked, actor=by, vectors=len(locked.members))
    return locked


def version_of(vector_set: VectorSet, hidden: int) -> str:
    """A mark of a set as a person saw it, of whose vectors so many were hidden from them."""
    return f"{vector_set.changed_at.isoformat()} {hidden}"


@transaction.atomic
def vector_set_delete(*, vector_set: VectorSet, by: User) -> None:
    """Delete a set, by its maker or an admin; studies and measurements made from it stay.

    Raises NotAllowed.
    """
    require_own(vector_set, by)
    audit.record("vector_set_deleted", target=vector_set, actor=by)
    VectorSet.objects.filter(pk=vector_set.pk).delete()


def is_own(vector_set: VectorSet, user: User) -> bool:
    """Whether a person may change a set: they made it, or are an admin."""
    return user.is_admin or (user.is_researcher and vector_set.created_by_id == user.pk)


def require_own(vector_set: VectorSet, user: User) -> None:
    """Raises NotAllowed for a set that a person may not change."""
    if not is_own(vector_set, user):
        raise NotAllowed(
            gettext(
                "Only an admin and the person who made this set can change it. Make a set of your "
                "own from its vectors."
            )
        )


def _save(vector_set: VectorSet) -> None:
    same = VectorSet.objects.filter(title__iexact=vector_set.title).exclude(pk=vector_set.pk)
    taken = Invalid(
        gettext("Another set is called “%(title)s”. Choose another name.")
        % {"title": vector_set.title}
    )
    if same.exists():
        raise taken
    try:
        with transaction.atomic():
            vector_set.save()
    except IntegrityError as error:  # somebody took the title meanwhile
        raise taken from error


def _title(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise Invalid(gettext("Give the set a name."))
    if len(title) > TITLE:
        raise Invalid(gettext("Shorten the name to %(most)s characters.") % {"most": TITLE})
    return title


def _note(note: str) -> str:
    note = note.strip()
    if len(note) > VECTOR_SET_NOTE:
        raise Invalid(
            gettext("Shorten the note to %(most)s characters.") % {"most": f"{VECTOR_SET_NOTE:,}"}
        )
    return note


def _places(places: Iterable[Place], model: LanguageModel) -> list[list[int]]:
    """Places as they are stored."""
    members = sorted(set(places))
    if not members:
        raise Invalid(
            gettext("The set has no vector. Name some, each as LAYER:INDEX, such as 14:518.")
        )
    if len(members) > MOST_PLACES:
        raise Invalid(_too_many(len(members)))
    for layer, index in members:
        if not (0 <= layer < model.n_layers and 0 <= index < model.d_ff):
            raise Invalid(
                gettext(
                    "%(model)s has no vector %(place)s. Choose a layer of 0 to %(layer)s and an "
                    "index of 0 to %(index)s."
                )
                % {
                    "model": model,
                    "place": f"{layer}:{index}",
                    "layer": model.n_layers - 1,
                    "index": f"{model.d_ff - 1:,}",
                }
            )
    return [[layer, index] for layer, index in members]


def _too_many(count: int | None) -> str:
    most = {"most": f"{MOST_PLACES:,}"}
    if count is None:
        return gettext("A set can have at most %(most)s vectors. Name fewer.") % most
    return gettext(
        "A set can have at most %(most)s vectors, and this would have %(n)s. Take fewer."
    ) % (most | {"n": f"{count:,}"})
