"""What the log may say of an unexpected error: its type and where it was, never its words.

An error's text, and the values in a traceback, can quote what somebody sent. Types, files and
lines say where to look and hold nothing of anybody.
"""

import traceback

MOST_FRAMES = 30


def described(error: BaseException) -> str:
    """Return an error's types (its causes' too) and the file:line frames of each, no message."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        parts.append(f"{type(link).__name__} at {_frames(link)}")
        link = link.__cause__ or link.__context__
    return " from ".join(parts)


def _frames(error: BaseException) -> str:
    frames = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return " > ".join(frames[-MOST_FRAMES:]) or "no frame"
