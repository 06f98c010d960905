"""What a browser that holds keys sends and gets: parts, vaults, passkeys, compute's keys."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from marketplace.api.models import Count, Id, In, Text


class PartOut(BaseModel):
    number: int
    size: int
    sha256: str


class PartsOut(BaseModel):
    parts: list[PartOut]


class CompleteIn(In):
    """What the whole ciphertext is: SHA-256 in hex, bytes, and in how many parts it came."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Count
    parts: Annotated[int, Field(ge=1, le=4096)]


class WayIn(In):
    """One way into a vault; box holds the vault key under it."""

    kind: Annotated[str, Field(pattern=r"^(prf|code|passphrase)$")]
    box: Text
    locator: Id | None = None
    credential: Text | None = None
    salt: Text | None = None
    rounds: Count | None = None


class VaultIn(In):
    """A vault as its owner closed it; box is AES-256-GCM ciphertext in base64."""

    v: Annotated[int, Field(ge=1, le=1)]
    wraps: Annotated[list[WayIn], Field(min_length=1, max_length=32)]
    box: Annotated[str, Field(max_length=4 << 20)]


class VaultOut(BaseModel):
    v: int
    wraps: list[dict[str, Any]]
    box: str


class VaultKeptOut(BaseModel):
    etag: str


class OptionsOut(BaseModel):
    """options: PublicKeyCredentialCreationOptionsJSON or ...RequestOptionsJSON (WebAuthn)."""

    options: dict[str, Any]


class PasskeyIn(In):
    """credential: RegistrationResponseJSON (WebAuthn level 3)."""

    credential: dict[str, Any]


class PasskeyOut(BaseModel):
    credential: str
    created_at: int
    used_at: int | None


class PasskeysOut(BaseModel):
    passkeys: list[PasskeyOut]


class ComputeKeyOut(BaseModel):
    index: int
    key_id: str
    region: str


class ComputeKeysOut(BaseModel):
    keys: list[ComputeKeyOut]
