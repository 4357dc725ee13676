"""The demo's one-click logins, allowed as its own process allows them."""

from annotation_site.accounts import demo_entries
from annotation_site.accounts.models import User

HERE = {"HTTP_HOST": "127.0.0.1:8000", "REMOTE_ADDR": "127.0.0.1"}
KEY = b"k" * 32


def allow(*people: User, key: bytes = KEY) -> None:
    given = {str(person.public_id): person.get_session_auth_hash() for person in people}
    demo_entries.entries_allow(key=key, people=given)
