# pragma version 0.4.3
# pragma evm-version paris
"""
@title   Checkpoints of transparency logs, anchored by k of n members
@license Apache-2.0
@notice  A checkpoint is accepted when k different members signed it (EIP-712) and it is longer
         than the last one of its log. Entries never come here: sizes and root hashes only.
         The members never change; another set of members is another contract.
"""

MAX_MEMBERS: constant(uint256) = 16
DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
CHECKPOINT_TYPE: constant(bytes32) = keccak256("Checkpoint(bytes32 origin,uint64 size,bytes32 root)")
NAME: constant(bytes32) = keccak256("Omic checkpoint anchor")
VERSION: constant(bytes32) = keccak256("1")


struct Head:
    size: uint64
    root: bytes32
    time: uint256


struct Signature:
    v: uint256
    r: uint256
    s: uint256


event Anchored:
    origin: indexed(bytes32)
    size: indexed(uint64)
    root: bytes32
    signers: DynArray[address, MAX_MEMBERS]


threshold: public(immutable(uint256))
is_member: public(HashMap[address, bool])
all_members: DynArray[address, MAX_MEMBERS]
heads: public(HashMap[bytes32, Head])


@deploy
def __init__(members: DynArray[address, MAX_MEMBERS], k: uint256):
    """
    @param members The members' addresses, in rising order
    @param k How many must sign; more than half, or two histories could both be anchored
    """
    assert k <= len(members) and 2 * k > len(members), "k must be more than half of the members"
    last: address = empty(address)
    for member: address in members:
        assert convert(member, uint256) > convert(last, uint256), "members must be in rising order"
        self.is_member[member] = True
        last = member
    self.all_members = members
    threshold = k


@view
@external
def members() -> DynArray[address, MAX_MEMBERS]:
    """
    @return The members' addresses, in rising order
    """
    return self.all_members


@view
@internal
def _digest(origin: bytes32, size: uint64, root: bytes32) -> bytes32:
    domain: bytes32 = keccak256(abi_encode(DOMAIN_TYPE, NAME, VERSION, chain.id, self))
    message: bytes32 = keccak256(abi_encode(CHECKPOINT_TYPE, origin, size, root))
    return keccak256(concat(b"\x19\x01", domain, message))


@external
def anchor(
    origin: bytes32, size: uint64, root: bytes32, signatures: DynArray[Signature, MAX_MEMBERS]
):
    """
    @notice Accept a checkpoint; anybody may bring one
    @param origin SHA-256 of the log's origin
    @param signatures By members, in rising order of their addresses
    """
    assert size > self.heads[origin].size, "the checkpoint is not longer than the last one"
    assert len(signatures) >= threshold, "too few signatures"
    digest: bytes32 = self._digest(origin, size, root)
    signers: DynArray[address, MAX_MEMBERS] = []
    last: address = empty(address)
    for one: Signature in signatures:
        signer: address = ecrecover(digest, one.v, one.r, one.s)
        assert self.is_member[signer], "a signature is by no member"
        assert convert(signer, uint256) > convert(last, uint256), "signers must be in rising order"
        signers.append(signer)
        last = signer
    self.heads[origin] = Head(size=size, root=root, time=block.timestamp)
    log Anchored(origin=origin, size=size, root=root, signers=signers)
