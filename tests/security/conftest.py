"""What the tests of security share: the site of which every address is asked."""

from tests.annotation_site.world import store, world, world_stored  # noqa: F401
