"""The container images that runs load: where they come from, and where they are kept."""

from harness.images.cache import Cache, Source
from harness.images.folder import CachedImage

__all__ = ["Cache", "CachedImage", "Source"]
