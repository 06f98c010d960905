"""The plain words for what the machine calls by codes: states, entries, purposes, reasons.

tone is one of "good", "wait", "stop", "calm"; pages show it with a word, never by colour alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compute.queries import catalogue
from marketplace.texts import Texts, say
from marketplace.web import query_words


@dataclass(frozen=True, slots=True)
class Word:
    """A message, its tone, and one message more."""

    text: str
    tone: str
    note: str = ""

    @property
    def label(self) -> str:
        """Return the word in the language spoken."""
        return say(self.text)

    @property
    def more(self) -> str:
        """Return the sentence more in the language spoken."""
        return say(self.note)


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

STEPS: Mapping[str, str] = Texts(
    {
        "planned": "Planned: consents are checked",
        "opening": "Opening: the use is put on the ledger first",
        "summing": "Summing",
        "waiting": "Done: it leaves on the next clock tick",
    }
)

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

ENTRIES: Mapping[str, str] = Texts(
    {
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
)

PURPOSES: Mapping[str, str] = Texts(
    {
        "DS": "Research on a disease",
        "HMB": "Health, medical or biomedical research",
        "POA": "Population and ancestry research",
        "MDS": "Methods development",
        "GRU": "General research",
        "CC": "Clinical care",
    }
)

MODALITIES: Mapping[str, str] = Texts(
    {
        "genotypes": "Genome",
        "expression": "Gene expression",
        "methylation": "DNA methylation",
        "proteomics": "Proteins",
        "metabolomics": "Metabolites",
        "microbiome": "Microbiome",
        "clinical": "Health record",
        "participant": "About the person",
    }
)
MODALITY_MORE: Mapping[str, str] = Texts(
    {
        "genotypes": "Genotypes at known positions",
        "expression": "How active each gene was",
        "methylation": "Where genes are switched by methyl groups",
        "proteomics": "How much of each protein there was",
        "metabolomics": "How much of each small molecule there was",
        "microbiome": "Which microbes live with the person",
        "clinical": "Coded conditions and measurements",
        "participant": "Sex, population, covariates",
    }
)
# Kinds of data within a sentence: "people with … data".
WITHIN: Mapping[str, str] = Texts(
    {
        "genotypes": "genome",
        "expression": "gene expression",
        "methylation": "DNA methylation",
        "proteomics": "protein",
        "metabolomics": "metabolite",
        "microbiome": "microbiome",
        "clinical": "health",
        "participant": "personal",
    }
)

LEFT_OUT: Mapping[str, str] = Texts(
    {
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
)

TAKEN_IN: Mapping[str, Word] = {
    "ingested": Word("Readable", "good", "It can be part of answers."),
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
NOT_TAKEN_IN = Word(
    "Not read yet", "calm", "The compute service reads it once, soon after you consent."
)

JOB_KINDS: Mapping[str, str] = Texts(
    {
        "ingest": "Preparing newly consented data",
        "query": "Computing answers",
        "release": "Releasing reviewed answers",
    }
)


JOB_STEPS: Mapping[str, str] = Texts(
    {"queued": "in line", "leased": "under way", "done": "all done", "cancelled": "called off"}
)
STATEMENT: Mapping[str, str] = Texts(
    {
        "earned": "Earned",
        "given": "Given",
        "paid out": "Paid out",
        "payout returned": "Payout returned",
        "passed to charity": "Passed to charity",
    }
)


INVOICES: Mapping[str, str] = Texts(
    {
        "open": "Waiting for your transfer",
        "received": "Paid",
        "refunded": "Paid and given back",
        "returned": "Paid and given back",
        "surplus": "Paid a second time: it goes back",
        "closed": "No longer to be paid",
    }
)


# Codes that stand on pages as words: sectors, what money did, what owners publish of themselves.
CODES: Mapping[str, str] = Texts(
    {
        "academic": "academic",
        "public_health": "public health",
        "commercial": "commercial",
        "insurer": "insurer",
        "employer": "employer",
        "received": "received",
        "refunded": "refunded",
        "disputed": "disputed",
        "settled": "settled",
        "paid_out": "paid out",
        "payouts_returned": "payouts returned",
        "population": "population",
        "sex": "sex",
        "age_band": "age band",
        "female": "female",
        "male": "male",
    }
)


def plain(code: str) -> str:
    """Say a code such as paid_out in words; one that is none of ours as it is written."""
    return CODES[code] if code in CODES else code.replace("_", " ").replace(".", ": ")


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
    return ENTRIES.get(type_) or say("An entry newer than this page")


def purpose_words(purpose: Mapping[str, Any]) -> str:
    """Say a purpose in one line."""
    text = PURPOSES.get(str(purpose.get("primary"))) or say("A purpose newer than this page")
    diseases = purpose.get("diseases") or ()
    what = f"{text} ({', '.join(map(str, diseases))})" if diseases else text
    return say("%(1)s, commercial" if purpose.get("commercial") else "%(1)s, non-commercial", what)


def family_words(name: str) -> str:
    """Return what a kind of question is called, a name newer than this page as it is."""
    return query_words.short(name) if name in catalogue() else name


def statement_words(kind: str) -> str:
    """Return what a line of a statement is called."""
    return STATEMENT.get(kind) or kind


def job_words(code: str) -> str:
    """Say what the count of jobs of a kind and state means, e.g. query.done."""
    kind, _, state = code.partition(".")
    return f"{JOB_KINDS.get(kind, kind)}: {JOB_STEPS.get(state, state)}"


def kinds_words(names: Iterable[str]) -> str:
    """Name kinds of data within a sentence: "genome and gene expression"."""
    return say(" and ").join(WITHIN.get(name, name) for name in names)


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
    return say("%(1)s: %(2)s of %(3)s parts", step, progress["done"], progress["total"])
