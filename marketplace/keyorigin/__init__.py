"""The key origin: a small static bundle, on an origin of its own, where browsers handle keys.

The marketplace's pages cannot reach what is kept there. The bundle's digest is a `web.released`
entry, so that anybody can compare what is served with what the ledger says was released.
Spec: DESIGN section 2.1.
"""

from marketplace.keyorigin.bundle import Bundle, build, digest_of
from marketplace.keyorigin.words import spoken_words, would_allow

__all__ = ["Bundle", "build", "digest_of", "spoken_words", "would_allow"]
