"""Sessions in the database, as Django's, read by a query that is written once."""

from datetime import datetime

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from annotation_site.prepared import Prepared


def _living(session_key: str, now: datetime) -> QuerySet[Session]:
    return Session.objects.filter(session_key=session_key, expire_date__gt=now)


_SESSION = Prepared(_living)


class SessionStore(db.SessionStore):
    """Django's own, read faster: every request of a person begins with its session."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key or ""
        found = _SESSION.first(session_key=key, now=timezone.now())
        if found is None:
            self._session_key = None
        return found
