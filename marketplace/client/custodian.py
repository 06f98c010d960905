"""What a custodian does: split a study's file by participant and register under a mandate.

The split reads the study's file once and writes one Crypt4GH object a participant, encrypted to the
custodian: no part lies on the disk in the clear. At registration each participant gets a home of
their own (keys, mandate, receipts) in the split folder; the part is encrypted anew, to the
participant alone, the participant's key signs the mandate, and the custodian's signs the
registration under it. Consent is never the custodian's: it needs the dataset's own key,
which lies in the home that is handed over. There the person sees the mandate, ends it, or
takes over. Whoever made the keys has seen them: taking over puts every dataset under a key made by
the person, and replaces the key that signs for them (`mandates.take_over`).
"""

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute.crypt import CryptError, decrypt_file, encrypt_file
from compute.ingest import (
    Build,
    Callability,
    Given,
    IngestError,
    Part,
    split_pgen,
    split_plink,
    split_vcf,
)
from marketplace.client import mandates
from marketplace.client.errors import ClientError
from marketplace.client.hand import ACTING
from marketplace.client.home import Home
from marketplace.client.owner import Owner, Roles
from marketplace.client.session import Session
from marketplace.client.statements import new_id

FILE = "genotypes.c4gh"
HOME = "home"
OWNER_CLAIMS = {"person_verified": True, "unaffiliated": True}
WRITERS = 2
AHEAD = 64  # parts on their way to the disk
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Written:
    """One participant's object. skipped: records or alleles, by reason, of the whole file."""

    sample: str
    path: Path
    records: int
    skipped: dict[str, int]


def split(
    source: Path,
    folder: Path,
    recipient: bytes,
    *,
    callability: Callability | None,
    build: Build | None,
) -> Iterator[Written]:
    """Write one Crypt4GH object a participant below folder and yield what was written.

    source: a VCF, gVCF or BCF; a .bed with .bim and .fam beside it (build must be said then); a
    .pgen with .pvar and .psam. recipient: the custodian's X25519 public key.
    Raises IngestError for the file, ClientError for a folder in use or an unfit sample name.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ClientError(f"{folder} is not empty; split into a new folder")

    def write(part: Part) -> Written:
        path = folder / part.sample / FILE
        path.parent.mkdir(parents=True, mode=0o700)
        path.touch(0o600)
        path.write_bytes(encrypt_file(part.data, recipient))
        return Written(part.sample, path, part.records, part.skipped)

    try:
        yield from _written(_named(_parts(source, callability, build)), write)
    except (ClientError, IngestError):
        shutil.rmtree(folder, ignore_errors=True)  # ours alone: it was empty
        raise


def _written(parts: Iterator[Part], write: Callable[[Part], Written]) -> Iterator[Written]:
    with ThreadPoolExecutor(WRITERS) as pool:
        waiting = []
        for part in parts:
            waiting.append(pool.submit(write, part))
            if len(waiting) >= AHEAD:
                yield waiting.pop(0).result()
        for one in waiting:
            yield one.result()


def _named(parts: Iterator[Part]) -> Iterator[Part]:
    for part in parts:
        if not _NAME.match(part.sample):
            raise ClientError(
                f"sample {part.sample[:40]!r} cannot name a folder; rename it with letters, digits "
                "and _ . : + - (bcftools reheader -s)"
            )
        yield part


def _parts(source: Path, callability: Callability | None, build: Build | None) -> Iterator[Part]:
    if source.suffix == ".pgen":
        pvar, psam = (_read(source.with_suffix(ending)) for ending in (".pvar", ".psam"))
        return split_pgen(source, pvar, psam, build, callability or "variant-only")
    if source.suffix != ".bed":
        return split_vcf(source, callability)
    if build is None:
        raise ClientError(
            "PLINK files do not state their genome build: add --build GRCh37 or GRCh38"
        )
    files = [_read(source.with_suffix(ending)) for ending in (".bed", ".bim", ".fam")]
    return split_plink(files[0], files[1], files[2], build, callability or "array-manifest")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Registered:
    """One participant after registration."""

    participant: str
    home: Path
    mandate: str
    dataset: str


@dataclass(frozen=True, slots=True)
class Custodian:
    """The verbs of one custodian, on its own session."""

    session: Session
    code: str
    reference: Path | None = None  # a FASTA to check REF and left-align against

    def register(self, folder: Path) -> Iterator[Registered]:
        """Register each participant's file of a split folder, under a mandate of each.

        The custodian's object is removed once the participant's is stored, so a second run goes on
        where the first was stopped.
        """
        files = sorted(folder.glob(f"*/{FILE}"))
        if not files:
            raise ClientError(f"{folder} holds no split files; see `omic custodian split`")
        if self.session.home.read("enrolled.json") is None:
            raise ClientError("a mandate names a party of the ledger: run `omic enrol` first")
        for path in files:
            yield self._one(path)

    def _one(self, path: Path) -> Registered:
        home = Home(path.parent / HOME)
        if not (home.path / "identity.json").exists():
            trust = (self.session.home.path / "trust.json").read_bytes()
            home.create_from(trust, "owner", new_id())
        person = Session.open(home, self.session.view)
        mandate = self._mandate(person)
        roles = Roles(controller=self.session.home.party, custodian=self.code)
        mandates.use(home, mandate, self.session.home)
        try:
            owner, data = Owner(person), self._opened(path)
            given = Given(reference=self.reference)
            name = path.parent.name
            prepared = owner.prepare(data, "genotypes", name=name, given=given, roles=roles)
            owner.send([prepared])
        finally:
            # The home is the participant's: from here their own keys sign, ours only for this.
            (home.path / ACTING).unlink(missing_ok=True)
        path.unlink()
        return Registered(path.parent.name, home.path, str(mandate["mandate"]), prepared.dataset)

    def _opened(self, path: Path) -> bytes:
        try:
            return decrypt_file(path.read_bytes(), self.session.home.keys.encryption().secret)
        except CryptError as error:
            raise ClientError(
                f"{path} cannot be opened with the keys of {self.session.home.path}: split again, "
                f"or use the home that split it ({error})"
            ) from None

    def _mandate(self, person: Session) -> dict[str, Any]:
        """Return the participant's mandate to us, enrolling them first where they are new."""
        home, ours = person.home, self.session.home
        if home.read("enrolled.json") is None:
            mandates.enrol(person)
            index = person.attester.attest(home.party, "owner", OWNER_CLAIMS)
            home.write("enrolled.json", {"attested": index})
        for known in home.documents("mandates"):
            if known["holder"] == ours.party:
                if known["ended"] is not None:
                    raise ClientError(f"{home.path.parent.name} has ended your mandate")
                return known
        return mandates.give(person, "custodian", ours, None)
