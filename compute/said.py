"""How compute's sentences are said: a message with places for values, in whoever's language."""

import re
from collections.abc import Callable

Say = Callable[..., str]
"""say(message, *values): the message in some language, its values put in."""
_PLACE = re.compile(r"%\((\d+)\)s")


def as_it_is(message: str, *values: object) -> str:
    """Put values into a message's places %(1)s, %(2)s …: English, as the messages are written."""
    return _PLACE.sub(lambda found: str(values[int(found[1]) - 1]), message)
