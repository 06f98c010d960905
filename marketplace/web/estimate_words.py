"""What a dry run's expected error means, in words for its page. Pure."""

from collections.abc import Mapping
from typing import Any

from marketplace.texts import mark, say

_NEEDS = {
    "rho": mark("a privacy budget ρ of %(1)s"),
    "people": mark("%(1)s people who allow it"),
    "variants": mark("at most %(1)s variants"),
}
_RECKONED = {
    "people_assumed": mark("%(1)s people"),
    "maf_assumed": mark("a frequency of %(1)s"),
    "sd_assumed": mark("a standard deviation of %(1)s"),
}


def estimate_words(expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return {useful, needs, reckoned}: if it is sold, what alone would do, what it assumes.

    expected: what `compute.expected_error` returns, or {"kind": "refused"}.
    """
    needs = [
        say(_NEEDS[name], value) if name in _NEEDS else say("at most %(1)s %(2)s", value, name)
        for name, value in expected.get("needs", {}).items()
    ]
    reckoned = [say(text, expected[name]) for name, text in _RECKONED.items() if name in expected]
    useful = bool(expected.get("useful", expected.get("kind") != "refused"))
    return {"useful": useful, "needs": needs, "reckoned": reckoned}
