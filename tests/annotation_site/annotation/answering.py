"""What a person does with a list, by the services behind the page."""

import uuid

from annotation_site.annotation.work import submissions


def submit(assignment, content, **changes):
    assignment.refresh_from_db()
    return submissions.assignment_submit(
        user=assignment.membership.user,
        public_id=assignment.public_id,
        **{
            "base_version": assignment.draft_version,
            "key": uuid.uuid4(),
            "annotation": content,
            "active_seconds": 0,
            **changes,
        },
    )


def save(assignment, content, base_version, active_seconds=0):
    return submissions.draft_save(
        user=assignment.membership.user,
        public_id=assignment.public_id,
        base_version=base_version,
        content=content,
        active_seconds=active_seconds,
    )


def skip(assignment, reason="offensive", active_seconds=0):
    assignment.refresh_from_db()
    return submissions.assignment_skip(
        user=assignment.membership.user,
        public_id=assignment.public_id,
        base_version=assignment.draft_version,
        key=uuid.uuid4(),
        reason=reason,
        active_seconds=active_seconds,
    )
