"""The sub-face for encryption, used by clients and the vault: Crypt4GH files and sealed grants.

`crypt4gh` opens and writes files any GA4GH tool reads; `hpke` seals a grant to its exact terms;
`keyfiles` reads and writes key files. Importing it silences the crypt4gh package's logger.
"""

import compute.crypt.quiet  # noqa: F401  # isort: skip  (first: the package logs keys)
from compute.crypt import crypt4gh, hpke, keyfiles
from compute.crypt.crypt4gh import (
    Manifest,
    check_manifest,
    decrypt_all,
    decrypt_file,
    decrypt_range,
    encrypt_file,
    generate_keypair,
    make_header_packet,
    manifest_of,
    public_of,
    read_header,
    reencrypt_header,
    seal_to,
    session_key,
    session_keys,
)
from compute.crypt.hpke import SUITE, SealedGrant, grant_info, open_grant, probe, seal_grant
from compute.crypt.keyfiles import read_public_key, read_secret_key, write_key_files
from compute.errors import CryptError

__all__ = [
    "SUITE",
    "CryptError",
    "Manifest",
    "SealedGrant",
    "check_manifest",
    "crypt4gh",
    "decrypt_all",
    "decrypt_file",
    "decrypt_range",
    "encrypt_file",
    "generate_keypair",
    "grant_info",
    "hpke",
    "keyfiles",
    "make_header_packet",
    "manifest_of",
    "open_grant",
    "probe",
    "public_of",
    "read_header",
    "read_public_key",
    "read_secret_key",
    "reencrypt_header",
    "seal_grant",
    "seal_to",
    "session_key",
    "session_keys",
    "write_key_files",
]
