export { chacha20poly1305 } from "@noble/ciphers/chacha.js";
export { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
export { x25519, ed25519 } from "@noble/curves/ed25519.js";
export { sha3_256 } from "@noble/hashes/sha3.js";
export { sha256 } from "@noble/hashes/sha2.js";
export { blake2b } from "@noble/hashes/blake2.js";
