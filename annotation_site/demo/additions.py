"""Additions of the demo to the servers of a site."""

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from django.db import connection

from annotation_site.accounts.demo_entries import MINUTES, entries_allow, entries_make
from annotation_site.demo import contents
from annotation_site.demo.terminal import step

LOOKS_EVERY = 2  # seconds, for the end of the language model's extraction


class Demo:
    """Additions of the demo to the servers, with the state that its process keeps."""

    def __init__(self, var: Path, handed: IO[bytes], *, encoder: str, language_model: str) -> None:
        self._var, self._handed = var, handed
        self._encoder, self._language_model = encoder, language_model
        self._passwords: dict[str, str] = {}
        self._looks_at = time.monotonic()
        self._look: Callable[[], bool] | None = None

    def fill(self) -> None:
        """Make what is missing, and hand the web server what lets people in."""
        with step(f"Lists of {self._encoder}"):
            encoder = contents.encoder_lists(self._var, self._encoder)
        with step("People and a study"):
            self._passwords = contents.people_make(self._var)
            contents.study_make(contents.TITLE, [encoder])
        with step("Example study"):
            contents.example_restore()
        if self._language_model:
            waits = contents.language_model_enqueue(self._language_model, encoder)
            self._look = contents.SecondStudy(encoder, waits)
        self._hand_over()

    def _hand_over(self) -> None:
        key = secrets.token_bytes(32)
        people = {
            str(person.public_id): person.get_session_auth_hash()
            for person in contents.demo_people()
            if person.username in self._passwords
        }
        entries_allow(key=key, people=people)  # here too, for the links on the terminal
        self._handed.write(json.dumps({"key": key.hex(), "people": people}).encode())
        self._handed.flush()

    def show_entries(self, address: str) -> None:
        """Print how to get in, and the address last."""
        links = entries_make()
        print(f"\nEach link lets one person in, once, within {MINUTES} minutes:")
        for person in contents.demo_people():
            if token := links.get(str(person.public_id)):
                print(f"  {person.username:<6} {person.role:<11} {address}demo/enter/{token}/")
        print(f"Later, their passwords are in {self._var / contents.PEOPLE_FILE}.")
        if self._look is not None:
            print(f"Meanwhile a worker reads {self._language_model}: see the page Models.")
        print(f"\nFFN Concepts is at {address}  (Ctrl-C stops it)", flush=True)

    def look(self) -> None:
        """Look from time to time whether the language model's lists are there."""
        if self._look is None or time.monotonic() - self._looks_at < LOOKS_EVERY:
            return
        if self._look():
            self._look = None
        connection.close()  # a process that only watches over others keeps none
        self._looks_at = time.monotonic()
