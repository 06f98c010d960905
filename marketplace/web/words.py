"""The plain words for what the machine calls by codes: states, entries, purposes, reasons.

tone is one of "good", "wait", "stop", "calm"; pages show it with a word, never by colour alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compute.queries import catalogue


@dataclass(frozen=True, slots=True)
class Word:
    """A label, its tone, and one sentence more."""

    label: str
    tone: str
    more: str = ""


ORDER_STATES: Mapping[str, Word] = {
    "drafted": Word("Drafted", "calm", "Not signed yet."),
    "quoted": Word("Quoted", "calm", "A price was offered; sign the order to go on."),
    "awaiting_payment": Word("Waiting for payment", "wait", "Nothing runs until it is paid."),
    "funded": Word("Paid", "wait", "The payment stands on the ledger; consent is checked next."),
    "needs_owners": Word("Waiting for owners", "wait", "Some owners are asked before each use."),
    "approved": Word("Approved", "wait", "In line for a compute worker."),
    "running": Word("Running", "wait", "A worker checks every consent, then computes."),
    "releasing": Word(
        "Under review", "wait", "The answer passes its last checks before it leaves."
    ),
    "settled": Word("Answered", "good", "The answer is yours and the owners are paid."),
    "refused": Word("Refused", "stop", "The consents do not allow this use. You are refunded."),
    "cancelled": Word("Cancelled", "stop", "You cancelled. Anything paid goes back."),
    "expired": Word("Expired", "stop", "It was not paid or permitted in time."),
    "failed": Word("Failed", "stop", "No answer could be made. You are refunded."),
    "refunded": Word("Refunded", "calm", "The money went back to you, whole."),
}

STEPS: Mapping[str, str] = {
    "planned": "Planned: consents are checked",
    "opening": "Opening: the use is put on the ledger first",
    "summing": "Summing",
    "waiting": "Done: it leaves on the next clock tick",
}

WAITS = Word("Waits for you", "wait")

JOB_STATES: Mapping[str, Word] = {
    "placed": Word("Placed", "wait"),
    "approved": Word("Approved", "wait"),
    "running": Word("Running", "wait"),
    "published": Word("Answered", "good"),
    "settled": Word("Answered, owners paid", "good"),
    "withheld": Word("Withheld", "stop"),
    "refused": Word("Refused", "stop"),
    "cancelled": Word("Cancelled", "stop"),
    "expired": Word("Expired", "stop"),
    "failed": Word("Failed", "stop"),
}

ENTRIES: Mapping[str, str] = {
    "party.registered": "Somebody joined",
    "party.attested": "A statement about a member",
    "party.key_added": "A member added a key",
    "party.key_removed": "A member removed a key",
    "party.key_rotated": "A member changed a key",
    "dataset.registered": "A dataset was registered",
    "dataset.replaced": "A dataset was replaced",
    "dataset.erased": "A dataset was erased",
    "offer.published": "An offer was published",
    "offer.withdrawn": "An offer was withdrawn",
    "consent.granted": "A consent was given",
    "consent.withdrawn": "A consent was withdrawn",
    "consent.paused": "A consent was paused",
    "consent.resumed": "A consent was resumed",
    "consent.rekeyed": "A consent moved to a new key",
    "objection.raised": "Somebody opted out of everything",
    "objection.lifted": "Somebody lifted their opt-out",
    "order.placed": "A researcher placed an order",
    "order.approved": "An order was approved",
    "order.refused": "An order was refused",
    "order.cancelled": "An order was cancelled",
    "order.expired": "An order expired",
    "order.failed": "An order failed",
    "payment.received": "A payment arrived",
    "payment.refunded": "A payment went back",
    "payment.disputed": "A payment was disputed",
    "access.recorded": "Data was about to be opened",
    "access.refused": "Opening data was refused",
    "result.published": "An answer was committed to",
    "result.withheld": "An answer was held back",
    "review.decided": "A reviewer decided",
    "settlement.made": "Money was shared among owners",
    "payout.sent": "An owner was paid out",
    "payout.made": "Owners were paid out",
    "compute.key_published": "Compute published a key",
    "compute.released": "A version of compute was released",
    "web.released": "A version of the pages was released",
    "operator.acted": "The operator did something",
    "attester.named": "An attester was named",
    "schema.activated": "A new kind of entry was switched on",
    "mandate.given": "Somebody may act for an owner",
    "mandate.ended": "A mandate ended",
    "recovery.requested": "A key recovery began",
    "recovery.cancelled": "A key recovery was stopped",
    "share.given": "A dataset was shared with a professional",
    "share.stopped": "A share was stopped",
}

PURPOSES: Mapping[str, str] = {
    "DS": "Research on a disease",
    "HMB": "Health, medical or biomedical research",
    "POA": "Population and ancestry research",
    "MDS": "Methods development",
    "GRU": "General research",
    "CC": "Clinical care",
}

MODALITIES: Mapping[str, str] = {
    "genotypes": "Genome",
    "expression": "Gene expression",
    "participant": "About the person",
}
MODALITY_MORE: Mapping[str, str] = {
    "genotypes": "Genotypes at known positions",
    "expression": "How active each gene was",
    "participant": "Sex, population, covariates",
}

LEFT_OUT: Mapping[str, str] = {
    "purpose": "Their terms do not allow this purpose",
    "buyer": "Their terms ask for something about you that nobody has attested",
    "place": "Their data may only be used in another region",
    "time": "Their consent is not valid now",
    "price": "They do not sell to this kind of use, or in another currency",
    "query": "They did not allow this kind of query",
    "release": "They did not allow answers to leave in this way",
    "needs_owner": "They want to be asked first",
    "facets": "They did not publish the population you asked for",
    "modality": "They have no data of every kind needed",
    "build": "Their genome is on another reference build",
    "invalid": "Their consent cannot be read and so counts as none",
}

TAKEN_IN: Mapping[str, Word] = {
    "ingested": Word("Taken in", "good", "Compute could read it; it can be part of answers."),
    "ciphertext_missing": Word(
        "File not here", "wait", "The encrypted file has not arrived yet; it is looked for again."
    ),
    "ciphertext_differs": Word(
        "Refused", "stop", "The encrypted file is not the one you registered. Register it again."
    ),
    "sealed_grant_missing": Word(
        "Refused", "stop", "The key you sealed for compute is not there. Give the consent again."
    ),
    "build_differs": Word(
        "Refused", "stop", "The file is on another genome build than you registered."
    ),
    "stopped": Word("Not taken in", "calm", "You stopped the consent before it was read."),
}
FILE_REFUSED = Word(
    "Refused", "stop", "Compute could not use the file. Check it, then register it again."
)
NOT_TAKEN_IN = Word("Not yet", "calm", "Compute reads a file after you consent, once.")

JOB_KINDS: Mapping[str, str] = {
    "ingest": "Preparing newly consented data",
    "query": "Computing answers",
    "release": "Releasing reviewed answers",
}


def order_state(code: str) -> Word:
    """Return the words for a state of an order."""
    return ORDER_STATES.get(code, Word(code, "calm"))


def taken_in(code: str | None) -> Word:
    """Return the words for what compute reported of a dataset; None: nothing yet."""
    if code is None:
        return NOT_TAKEN_IN
    return TAKEN_IN.get(code, FILE_REFUSED)


def job_state(code: str) -> Word:
    """Return the words for an order's status on the ledger."""
    return JOB_STATES.get(code, Word(code, "calm"))


def entry_words(type_: str) -> str:
    """Return what an entry type means."""
    return ENTRIES.get(type_, "An entry newer than this page")


def purpose_words(purpose: Mapping[str, Any]) -> str:
    """Say a purpose in one line."""
    text = PURPOSES.get(str(purpose.get("primary")), "A purpose newer than this page")
    diseases = purpose.get("diseases") or ()
    more = f" ({', '.join(map(str, diseases))})" if diseases else ""
    return f"{text}{more}, {'commercial' if purpose.get('commercial') else 'non-commercial'}"


def family_words(name: str) -> str:
    """Return the title of a query family."""
    family = catalogue().get(name)
    return family.title if family is not None else name


def job_words(code: str) -> str:
    """Say what the count of jobs of a kind and state means, e.g. query.done."""
    kind, _, state = code.partition(".")
    return f"{JOB_KINDS.get(kind, kind)}: {state}"


def kinds_words(names: Iterable[str]) -> str:
    """Name kinds of data within a sentence: "genome and gene expression"."""
    spoken = {"participant": "personal"}
    return " and ".join(spoken.get(name, modality_words(name).lower()) for name in names)


def modality_words(name: str) -> str:
    """Return what a modality is called on a page."""
    return MODALITIES.get(name, name)


def progress_words(progress: Mapping[str, Any] | None) -> str:
    """Say how far a worker is; "" while nobody works on it."""
    if progress is None:
        return ""
    step = STEPS.get(progress["step"], "")
    if not progress["total"]:
        return step
    return f"{step}: {progress['done']} of {progress['total']} parts"
