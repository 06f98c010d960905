"""Ingest: once per grant, open, check, parse and store a derived copy, after its access entry.

A bad file, a missing sealed grant or changed ciphertext excludes that person with a reason code
and never ends the job. Plaintext exists in memory and in the parser's memfd only. Never retries a
grant that was refused, except where its ciphertext had not arrived yet.
"""

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from compute.copies import (
    encode_clinical,
    encode_features,
    encode_genotypes,
    encode_participant,
)
from compute.errors import ComputeError, IngestError
from compute.genomes import Genomes
from compute.ingest import Features, Genotypes, Parsed, Participant
from compute.jobs_client import MissingFileError
from compute.orderbook import IngestNote
from compute.planes import LayoutError
from compute.vault import INGEST, OpenedGrant, RecordedAccess, VaultRefusedError, recorded_access
from compute.worker_entries import Use, access_entry, tree_of
from compute.worker_ports import Workshop
from compute.worker_steps import checkpoint_step
from compute.worker_stops import Heart, Watch, follow
from ledger import Dataset, Grant, access_tag

BATCH = 500
PARSERS = 2  # confined children at work at once
PARALLEL = 4  # files on their way to one: fetched, opened, decrypted
SLICE = 16  # parsed files held in memory at once
INGESTED = "ingested"
NOT_YET = "ciphertext_missing"
STOPPED = "stopped"
UNCONFINED = "not_confined"  # says nothing of the file: the machine cannot parse safely


class UnfitFileError(ComputeError):
    """The ciphertext is not the registered one, or holds another modality than registered."""

    default_code = "ciphertext_differs"


@dataclass(slots=True)
class IngestReport:
    """Dataset id -> "ingested" or the reason code, and the accesses that were recorded."""

    datasets: dict[str, str] = field(default_factory=dict)
    accesses: list[str] = field(default_factory=list)


def pending(shop: Workshop, grants: Iterable[Grant]) -> list[Grant]:
    """Return the live grants without a derived copy; a refused one only if its file was late."""
    known, stored = shop.book.ingested(), shop.store.grants()
    found = []
    for grant in grants:
        state, reason = known.get(grant.id, ("", None))
        tried = state == "excluded" and reason != NOT_YET
        ours = grant.recipient.get("region") == shop.region
        if ours and not tried and grant.id not in stored:
            found.append(grant)
    return found


def ingest_all(shop: Workshop, heart: Heart) -> IngestReport:
    """Ingest every live grant sealed to this region and not yet ingested."""
    follow(shop)
    return ingest(shop, heart, pending(shop, shop.follower.state.live_grants()))


def ingest(shop: Workshop, heart: Heart, grants: Sequence[Grant]) -> IngestReport:
    """Ingest these grants, each batch after its own access entry."""
    report = IngestReport()
    for start in range(0, len(grants), BATCH):
        _ingest_batch(shop, heart, grants[start : start + BATCH], report)
    return report


def _ingest_batch(
    shop: Workshop, heart: Heart, grants: Sequence[Grant], report: IngestReport
) -> None:
    checkpoint_step("ingest_before_access")
    access = _record(shop, grants)
    report.accesses.append(access.access)
    follow(shop)
    sealed = shop.ledger.grants([grant.index for grant in grants])
    checkpoint_step("ingest_before_open")
    opening = _Opening(shop, heart, sealed, access)
    genomes = Genomes.of(shop.store, (head.grant for head in shop.store.heads()))
    with ThreadPoolExecutor(PARALLEL) as pool:
        for start in range(0, len(grants), SLICE):
            part = grants[start : start + SLICE]
            heart.check()
            parsed = list(pool.map(lambda grant: _parse(opening, grant), part))
            codes = [_keep(shop, genomes, *item) for item in zip(part, parsed, strict=True)]
            _note(shop, part, codes, access.access)
            report.datasets |= {g.dataset: code for g, code in zip(part, codes, strict=True)}
            checkpoint_step("ingest_one_stored")


def _note(shop: Workshop, grants: Sequence[Grant], codes: Sequence[str], access: str) -> None:
    """Record each grant's end; one that stopped meanwhile was not tried and is not noted."""
    shop.book.note_ingest(
        IngestNote(grant.id, grant.dataset, "ingested", None, access)
        if code == INGESTED
        else IngestNote(grant.id, grant.dataset, "excluded", code, access)
        for grant, code in zip(grants, codes, strict=True)
        if code != STOPPED
    )


def _record(shop: Workshop, grants: Sequence[Grant]) -> RecordedAccess:
    """Append the access entry of purpose ingest and wait until a witnessed checkpoint has it.

    The tags are keyed with each grant's activity_commitment (see compute.vault).
    """
    access = shop.new_id()
    tags = [access_tag(bytes.fromhex(g.activity_commitment), access) for g in grants]
    datasets = shop.follower.state.datasets
    people = {(grant.owner, datasets[grant.dataset].participant) for grant in grants}
    use = Use(purpose=INGEST, people=len(people))
    submission = access_entry(shop, access, use, dict.fromkeys(tags), {})
    index = shop.ledger.append([submission], wait=True)[0].index
    checkpoint_step("ingest_access_appended")
    shop.follower.wait_for(index, shop.clock() + shop.inclusion_wait_ms)
    return recorded_access(shop.follower, access, tree_of(submission))


class _Opening:
    """Opens the grants of one batch, each against a fold that is a few seconds old at most."""

    def __init__(
        self, shop: Workshop, heart: Heart, sealed: Mapping[int, bytes], access: RecordedAccess
    ) -> None:
        self.shop, self._heart = shop, heart
        self._sealed, self._access = sealed, access
        self._watch, self._lock = Watch(shop), threading.Lock()

    def open(self, grant: Grant) -> tuple[Dataset, OpenedGrant]:
        """Open one sealed grant. Raises VaultRefusedError; as `follow` when the log is silent."""
        if grant.index not in self._sealed:
            raise VaultRefusedError("no sealed grant is kept", code="sealed_grant_missing")
        # The fold is not for several threads: it moves on, and is asked, in one turn.
        with self._lock:
            self._watch.refresh()
            if grant.id in self._heart.stopped:
                raise VaultRefusedError("the grant has stopped", code=STOPPED)
            dataset = self.shop.follower.state.datasets[grant.dataset]
            sealed = self._sealed[grant.index]
            return dataset, self.shop.vault.open(grant.id, grant.terms, sealed, self._access)


def _parse(opening: _Opening, grant: Grant) -> tuple[OpenedGrant, Parsed] | str:
    """Open and parse one grant's file; return it, or the reason code.

    What is nobody's file's fault passes: TryAgainError, LedgerError, a parser not confined.
    """
    shop = opening.shop
    try:
        dataset, opened = opening.open(grant)
        plaintext = shop.vault.decrypt(opened, _ciphertext(shop, dataset), dataset.header_size)
        genotypes = dataset.modality == "genotypes"
        callability = dataset.format.get("callability") if genotypes else None
        modality: Any = dataset.modality
        parsed = shop.parser.parse(plaintext, modality, grant.dataset, callability=callability)
        return opened, parsed
    except MissingFileError:
        return NOT_YET
    except IngestError as error:
        if error.code == UNCONFINED:
            raise
        return f"file.{error.code}"[:60].lower()
    except (VaultRefusedError, UnfitFileError) as error:
        return error.code


def _keep(
    shop: Workshop, genomes: Genomes, grant: Grant, parsed: tuple[OpenedGrant, Parsed] | str
) -> str:
    """Encode and store one parsed file; return "ingested" or the reason code."""
    if isinstance(parsed, str):
        return parsed
    dataset = shop.follower.state.datasets[grant.dataset]
    try:
        version, chunks = _encode(shop, dataset, parsed[1])
        if isinstance(parsed[1], Genotypes):
            genomes.note(grant.id, parsed[1])
        shop.vault.keep_copy(parsed[0], dataset.modality, version, chunks)
    except (VaultRefusedError, UnfitFileError, LayoutError) as error:
        return error.code
    return INGESTED


def _ciphertext(shop: Workshop, dataset: Dataset) -> bytes:
    """Fetch a dataset's file and hold it against the owner's signed manifest: length and hash."""
    data = shop.market.dataset_file(dataset.id)
    if len(data) != dataset.size:
        raise UnfitFileError("the ciphertext has another length than registered")
    if hashlib.sha256(data).hexdigest() != dataset.ciphertext_sha256:
        raise UnfitFileError("the ciphertext has another hash than registered")
    return data


def _encode(shop: Workshop, dataset: Dataset, parsed: Parsed) -> tuple[int, list[bytes]]:
    if isinstance(parsed, Genotypes):
        if dataset.format.get("build") not in (None, str(parsed.build)):
            raise UnfitFileError("the file's build is not the registered one", code="build_differs")
        return encode_genotypes(shop.variants, parsed)
    if isinstance(parsed, Features):
        return 0, encode_features(parsed)
    if isinstance(parsed, Participant):
        return 0, encode_participant(parsed)
    return 0, encode_clinical(parsed)
