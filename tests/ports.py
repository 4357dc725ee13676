"""Ports for servers of tests."""

from annotation_site.serving import taken_port


def free_port(host: str, first: int) -> int:
    """A port that is free now; another program may take it a moment later."""
    with taken_port(host, first) as taken:
        return int(taken.getsockname()[1])
