"""Sentences for people that are kept: as a message and its values, translated when shown.

A worker does not know who will read why its work failed, or in which language.
"""

import json
from collections.abc import Callable
from typing import Any

from django.db import models
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from annotation_site.exact_words import exact


class Sentence:
    """A message with `%(name)s` for each value; `str` writes it in the language of the moment.

    Mark the message with `gettext_noop`. Values are texts, numbers and other sentences.
    """

    def __init__(self, message: str, **values: Any) -> None:
        self.message = message
        self.values = values

    def __str__(self) -> str:
        return self._written(gettext)

    @property
    def marked(self) -> SafeString:
        """As pages have it: values that are texts keep their exact words."""
        values = {
            name: value.marked if isinstance(value, Sentence) else exact(value)
            for name, value in self.values.items()
        }
        text = escape(gettext(self.message)) if self.message else ""
        whole = text % values if values else text
        return mark_safe(whole)  # noqa: S308 (each part is escaped)  # nosec B308 B703

    @property
    def english(self) -> str:
        """As logs and files have it."""
        return self._written(str)

    def _written(self, translate: Callable[[str], str]) -> str:
        text = translate(self.message) if self.message else ""
        if not self.values:  # a percent sign of an older version's text is one
            return text
        return text % {
            name: value._written(translate) if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }

    def __repr__(self) -> str:
        return f"Sentence({self.english!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, (str, Sentence)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.message)

    def __contains__(self, words: str) -> bool:
        return words in str(self)

    def to_json(self) -> dict[str, Any]:
        """The message and its values, for `read`."""
        values = {
            name: value.to_json() if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return {"message": self.message, "values": values}

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Sentence":
        """The sentence that `to_json` gave as message and values."""
        values = {
            name: cls.read(value) if isinstance(value, dict) else value
            for name, value in stored["values"].items()
        }
        return cls(stored["message"], **values)


def english(sentence: str | Sentence) -> str:
    """A sentence as logs and files have it."""
    return sentence.english if isinstance(sentence, Sentence) else sentence


class SentenceField(models.TextField):
    """A sentence as JSON, or nothing. Plain texts of older versions are messages without values."""

    def from_db_value(self, value: str | None, *_: object) -> str | Sentence | None:
        return self.to_python(value)

    def to_python(self, value: Any) -> Any:
        if not value or isinstance(value, Sentence):
            return value
        return (
            Sentence.read(json.loads(value)) if value.startswith('{"message"') else Sentence(value)
        )

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, str) and value:
            value = Sentence(value)
        return json.dumps(value.to_json()) if isinstance(value, Sentence) else value

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))
