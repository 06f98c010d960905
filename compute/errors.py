"""Errors of the compute package: one base, one subclass a room.

A message says what is wrong, where, and what to do next. It never carries a genotype, a
measured value, a name of a person or key material, because errors reach logs and buyers.
"""

from __future__ import annotations


class ComputeError(Exception):
    """Base of everything compute raises on purpose; ``code`` is stable and machine-readable."""

    default_code = "compute"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class IngestError(ComputeError):
    """A file is not understood or not acceptable.

    ``name`` is the file as its owner calls it, ``where`` the line or record.
    """

    default_code = "ingest"

    def __init__(
        self, message: str, *, code: str = "ingest", where: str = "", name: str = ""
    ) -> None:
        self.reason = message
        self.where = where
        self.name = name
        head = ", ".join(part for part in (name, where) if part)
        super().__init__(f"{head}: {message}" if head else message, code=code)

    def named(self, name: str) -> IngestError:
        """Return the same refusal carrying the file's name."""
        return type(self)(self.reason, code=self.code, where=self.where, name=name)


class ParserDiedError(IngestError):
    """The confined parser was killed, overran a limit or broke its protocol."""

    default_code = "parser_died"


class QueryError(ComputeError):
    """A query is not in the catalogue, badly typed, or cannot run on this cohort."""

    default_code = "query"


class TermsError(ComputeError):
    """Terms, a purpose, claims or a scope do not follow their format: refuse them."""

    default_code = "terms"


class CryptError(ComputeError):
    """A file, header or sealed grant is damaged, or not for this key and these terms."""

    default_code = "envelope"


class BundleError(ComputeError):
    """A result or a bundle does not follow its format: ask for it again."""

    default_code = "bundle"
