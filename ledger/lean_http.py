"""httpx without its own command line, which would load rich and pygments into every process.

Imported by the ledger's face before anything imports httpx; every process of ours loads the face.
"""

import sys

# A module that is None in sys.modules cannot be imported, and httpx does without this one.
if "httpx" not in sys.modules:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
