"""Container images: where they come from, and where they are kept.

In: a name or a reference; out: an archive in the cache that an engine loads.
"""

from harness.images.cache import Cache, Source
from harness.images.folder import CachedImage

__all__ = ["Cache", "CachedImage", "Source"]
