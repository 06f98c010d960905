"""Who signs in and what lies here for them: accounts, sessions, vaults, files."""

from typing import ClassVar

from sqlmodel import Field

from marketplace.tables.base import Table, big


class Account(Table, table=True):
    """Who has ever signed in: the party id on the ledger and its role there."""

    __tablename__: ClassVar[str] = "accounts"
    party: str = Field(primary_key=True)
    role: str
    created_at: int = big()


class Challenge(Table, table=True):
    """A one-time secret by its SHA-256: kind "challenge" (spent) or "link" (not spent yet)."""

    __tablename__: ClassVar[str] = "challenges"
    secret_sha256: str = Field(primary_key=True)
    party: str = Field(index=True)
    kind: str
    key: str = ""
    expires_at: int = big(index=True)


class LoginSession(Table, table=True):
    """A session by the SHA-256 of its token; key is the fingerprint of the key that opened it.

    scopes: what the token may do, blank-separated ("read"); empty: everything its party may.
    """

    __tablename__: ClassVar[str] = "sessions"
    token_sha256: str = Field(primary_key=True)
    party: str = Field(foreign_key="accounts.party", index=True)
    role: str
    key: str
    scopes: str = ""
    expires_at: int = big(index=True)


class KeptAnswer(Table, table=True):
    """The answer to a request that carried an Idempotency-Key; status 0: still being answered.

    id: SHA-256 of party and key; request: SHA-256 of method, path and body.
    """

    __tablename__: ClassVar[str] = "kept_answers"
    id: str = Field(primary_key=True)
    party: str = Field(index=True)
    request: str
    status: int
    body: str
    expires_at: int = big(index=True)


class Passkey(Table, table=True):
    """A passkey that signs in, by its credential id; key: the ledger key that vouched for it."""

    __tablename__: ClassVar[str] = "passkeys"
    credential: str = Field(primary_key=True)
    party: str = Field(index=True)
    key: str
    public_key: str
    sign_count: int = big()
    created_at: int = big()
    used_at: int | None = big(default=None)


class VaultCopy(Table, table=True):
    """A party's own keys and records as ciphertext only its holder opens; etag: its SHA-256."""

    __tablename__: ClassVar[str] = "vaults"
    party: str = Field(primary_key=True)
    body: str
    etag: str
    updated_at: int = big()


class VaultLocator(Table, table=True):
    """By what a way in (passkey secret, printed code) finds its vault: 128 derived bits."""

    __tablename__: ClassVar[str] = "vault_locators"
    locator: str = Field(primary_key=True)
    party: str = Field(foreign_key="vaults.party", index=True)


class StoredObject(Table, table=True):
    """One object in the ciphertext store: state "staged", "active" or "doomed" (to be deleted)."""

    __tablename__: ClassVar[str] = "objects"
    key: str = Field(primary_key=True)
    sha256: str
    size: int = big()
    state: str = Field(index=True)
    created_at: int = big(index=True)


class Upload(Table, table=True):
    """An owner's staged upload of one dataset; the last one wins until it is activated."""

    __tablename__: ClassVar[str] = "uploads"
    dataset: str = Field(primary_key=True)
    owner: str = Field(index=True)
    object_key: str = Field(foreign_key="objects.key")
    created_at: int = big(index=True)


class UploadPart(Table, table=True):
    """One part of a resumable upload; parts become one upload when the last has arrived."""

    __tablename__: ClassVar[str] = "upload_parts"
    dataset: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    owner: str = Field(index=True)
    object_key: str = Field(foreign_key="objects.key")
    created_at: int = big(index=True)


class DatasetFile(Table, table=True):
    """Where the ciphertext of a dataset registered on the ledger lies."""

    __tablename__: ClassVar[str] = "datasets"
    dataset: str = Field(primary_key=True)
    owner: str = Field(index=True)
    object_key: str | None = Field(default=None, foreign_key="objects.key")
    state: str = "active"  # or "erased"
    registered_index: int | None = big(default=None)
    activated_at: int = big()


class DatasetReport(Table, table=True):
    """What compute last reported when it took in a dataset: "ingested", or why not."""

    __tablename__: ClassVar[str] = "dataset_reports"
    dataset: str = Field(primary_key=True)
    code: str
    at: int = big()


class SharedFile(Table, table=True):
    """A dataset shared with one professional: a header for their key, or a part cut and encrypted.

    header: base64, for a whole dataset; object_key: a part's own file. token_sha256: of the secret
    in the link. fetched_at: Unix ms of the last download.
    """

    __tablename__: ClassVar[str] = "shared_files"
    share: str = Field(primary_key=True)
    owner: str = Field(index=True)
    dataset: str = Field(index=True)
    token_sha256: str
    header: str | None = None
    object_key: str | None = Field(default=None, foreign_key="objects.key")
    fetches: int = 0
    fetched_at: int | None = big(default=None)
    created_at: int = big()
