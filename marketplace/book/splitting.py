"""The published rule by which an amount is split: largest remainder, ties by key. Pure."""

from collections.abc import Sequence

from marketplace.book.core import BookError


def split(total: int, weights: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Split `total` minor units by integer weights with the largest-remainder rule.

    The published rule. With W the sum of the weights, everyone first gets floor(total x w / W).
    The units still left over (fewer than there are people) go one each to those with the largest
    remainder (total x w) mod W; equal remainders go by key, smallest first in code point order.

    Sums to `total` exactly; never negative; does not depend on the order of `weights`; a larger
    weight never gets less; equal weights differ by at most one unit. (As with every
    largest-remainder rule, one share may fall by a unit when `total` grows by one and the weights
    differ; with equal weights it never does.) Raises BookError on a negative total or weight, a
    repeated key, or nobody to pay.
    """
    _check_split(total, weights)
    whole = sum(weight for _key, weight in weights)
    if whole == 0:
        return dict.fromkeys(sorted(key for key, _weight in weights), 0)
    parts = [(key, *divmod(total * weight, whole)) for key, weight in weights]
    parts.sort(key=lambda part: (-part[2], part[0]))
    left = total - sum(floor for _key, floor, _rest in parts)
    shares = {key: floor + (place < left) for place, (key, floor, _rest) in enumerate(parts)}
    return dict(sorted(shares.items()))


def _check_split(total: int, weights: Sequence[tuple[str, int]]) -> None:
    if type(total) is not int or total < 0:
        raise BookError("The amount to split must be a whole number, zero or more.")
    if any(type(weight) is not int or weight < 0 for _key, weight in weights):
        raise BookError("Every weight must be a whole number, zero or more.")
    if len({key for key, _weight in weights}) != len(weights):
        raise BookError("A key stands twice in the weights.")
    if total and not any(weight for _key, weight in weights):
        raise BookError(f"There is nobody with a weight to split {total} among.")
