"""What a custodian does: split a study's file by participant and register under a mandate.

Each participant gets a home of their own (keys, mandate, receipts) in the split folder. The file is
encrypted to the participant alone and the participant's key signs the mandate; the custodian's key
signs the registration under it. Consent is never the custodian's: it needs the dataset's own key,
which lies in the home that is handed over. There the person sees the mandate and takes over by
ending it. Whoever made the keys has seen them: a person who does not trust that erases the dataset
and registers their own file from a home of their own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute.ingest import Build, Callability, Part, split_plink, split_vcf
from marketplace.client import mandates
from marketplace.client.errors import ClientError
from marketplace.client.hand import ACTING
from marketplace.client.home import Home
from marketplace.client.owner import Owner, Roles
from marketplace.client.session import Session
from marketplace.client.statements import new_id

FILE = "genotypes.vcf"
HOME = "home"
OWNER_CLAIMS = {"person_verified": True, "unaffiliated": True}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,63}\Z")


def split(
    source: Path, folder: Path, *, callability: Callability | None, build: Build | None
) -> Iterator[tuple[Part, Path]]:
    """Write one file a participant below folder and yield each with its path.

    source: a VCF, or a .bed with .bim and .fam beside it (build must be said then).
    Raises IngestError for the file, ClientError for a folder in use or an unfit sample name.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ClientError(f"{folder} is not empty; split into a new folder")
    for part in _parts(source, callability, build):
        if not _NAME.match(part.sample):
            raise ClientError(
                f"sample {part.sample[:40]!r} cannot name a folder; rename it with letters, digits "
                "and _ . : + - (bcftools reheader -s)"
            )
        path = folder / part.sample / FILE
        path.parent.mkdir(parents=True, mode=0o700)
        path.write_bytes(part.vcf)
        path.chmod(0o600)
        yield part, path


def _parts(source: Path, callability: Callability | None, build: Build | None) -> Iterator[Part]:
    if source.suffix != ".bed":
        return split_vcf(_read(source), callability)
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

    def register(self, folder: Path) -> Iterator[Registered]:
        """Register each participant's file of a split folder, under a mandate of each.

        The clear file is removed once its ciphertext is stored, so a second run goes on where the
        first was stopped.
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
            owner = Owner(person)
            prepared = owner.prepare(path, "genotypes", name=path.parent.name, roles=roles)
            owner.send([prepared])
        finally:
            # The home is the participant's: from here their own keys sign, ours only for this.
            (home.path / ACTING).unlink(missing_ok=True)
        path.unlink()
        return Registered(path.parent.name, home.path, str(mandate["mandate"]), prepared.dataset)

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
