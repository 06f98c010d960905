"""What the parent asks of every value a parser child sent, whatever its kind."""

from __future__ import annotations

from typing import Any

from compute.errors import ParserDiedError


def whole(value: Any) -> bool:
    """Tell whether a value is a whole number that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def require(holds: bool) -> None:
    """Refuse the frame unless what must hold does. Raises ParserDiedError."""
    if not holds:
        raise faulty()


def faulty() -> ParserDiedError:
    """Return the refusal of a malformed frame."""
    return ParserDiedError(
        "the confined parser answered with a malformed frame; the file is refused",
        code="parser_protocol",
    )
