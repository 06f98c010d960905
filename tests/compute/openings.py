"""Counting what the vault opens, and the cohort from which each one in turn is missing."""

from contextlib import ExitStack, contextmanager
from unittest import mock

TURNS = ("open", "batch")  # every opening of a seal, and of a data key, passes one of these


def turning(real, then):
    """Return a method of the vault that calls then(grant id) for each key it turned."""

    def turned(first, *args, **more):
        result = real(first, *args, **more)
        for grant in [first] if isinstance(first, str) else first:
            then(grant)
        return result

    return turned


class Openings:
    """Every grant whose seal or data key was opened, in order."""

    def __init__(self):
        self.grants = []

    def take(self):
        taken = set(self.grants)
        self.grants.clear()
        return taken


@contextmanager
def watching(vault):
    """Yield the Openings of a vault."""
    seen = Openings()
    with ExitStack() as patched:
        for name in TURNS:
            turned = turning(getattr(vault, name), seen.grants.append)
            patched.enter_context(mock.patch.object(vault, name, turned))
        yield seen


def grant_of(person):
    return person.data["genotypes"].grant


def leave_each_out(world, withdraw=None):
    """Ingest everybody; then for each person: order and pay, withdraw, run, consent again.

    Yields (that person's grant, the grants not opened in that run, how many the access entry says
    were opened).
    """
    withdraw = withdraw or world.withdraw
    world.run("ingest")
    everyone = {grant_of(person) for person in world.people}
    # Cohorts one person apart are what the gate refuses to answer; not under test here.
    apart = mock.patch("compute.worker_query.check_beside")
    with apart, watching(world.shop.vault) as opened:
        for person in world.people:
            order, gone = world.order(), grant_of(person)
            withdraw(person)
            outcome = world.run("query", order)
            if outcome.state != "awaiting_review":
                raise RuntimeError(f"the order ended as {outcome}")
            yield gone, everyone - opened.take(), world.access_of(order).payload["opened"]
            if not world.log.state.grant_in_force(gone):
                world.grant(person, "genotypes")
                world.run("ingest")
            opened.take()
            everyone = everyone - {gone} | {grant_of(person)}
