"""Silences the `crypt4gh` package, which logs session keys and secret keys at level DEBUG.

Imported before anything else of this sub-face. A filter refuses every record as well as the
level, so that a later logging configuration cannot switch the package's voice back on.
"""

import logging

_LOGGERS = (
    "crypt4gh",
    "crypt4gh.header",
    "crypt4gh.lib",
    "crypt4gh.exceptions",
    "crypt4gh.keys",
    "crypt4gh.keys.c4gh",
    "crypt4gh.keys.kdf",
    "crypt4gh.keys.ssh",
)


class _Nothing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


def silence() -> None:
    """Let no record of the crypt4gh package through; calling it again changes nothing."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
        if not any(isinstance(one, _Nothing) for one in logger.filters):
            logger.addFilter(_Nothing())


silence()
