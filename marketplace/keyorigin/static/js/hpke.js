// HPKE base mode (RFC 9180) with ML-KEM-768 + X25519, HKDF-SHA256 and ChaCha20-Poly1305.
// KEM: draft-ietf-hpke-pq MLKEM768-X25519 (0x647a). compute/crypt/hpke.py opens what is sealed here.

import { chacha20poly1305, ml_kem768, sha3_256, x25519 } from "../vendor/noble.js";
import { concat, hmac, random, sha256, u32, utf8 } from "./bytes.js";
import { canonical } from "./canonical.js";

export const SUITE = "hpke-mlkem768x25519-hkdf-sha256-chacha20poly1305";
const SUITE_ID = concat(utf8("HPKE"), Uint8Array.of(0x64, 0x7a, 0x00, 0x01, 0x00, 0x03));
const LABEL = Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c);
const EMPTY = new Uint8Array(0);
const KEM_PUBLIC = 1184;
const KEM_CIPHERTEXT = 1088;

function combine(kemSecret, curveSecret, curveCiphertext, curvePublic) {
  return sha3_256(concat(kemSecret, curveSecret, curveCiphertext, curvePublic, LABEL));
}

function encapsulate(publicKey) {
  if (publicKey.length !== KEM_PUBLIC + 32) throw new Error("the recipient's hybrid key has a wrong length");
  const [kemPublic, curvePublic] = [publicKey.subarray(0, KEM_PUBLIC), publicKey.subarray(KEM_PUBLIC)];
  const kem = ml_kem768.encapsulate(kemPublic);
  const ephemeral = random(32);
  const curveCiphertext = x25519.getPublicKey(ephemeral);
  const curveSecret = x25519.getSharedSecret(ephemeral, curvePublic);
  const secret = combine(kem.sharedSecret, curveSecret, curveCiphertext, curvePublic);
  return { enc: concat(kem.cipherText, curveCiphertext), secret };
}

function decapsulate(enc, secretKey) {
  const { secretKey: kemKey } = ml_kem768.keygen(secretKey.subarray(0, 64));
  const curveKey = secretKey.subarray(64);
  const curveCiphertext = enc.subarray(KEM_CIPHERTEXT);
  const kemSecret = ml_kem768.decapsulate(enc.subarray(0, KEM_CIPHERTEXT), kemKey);
  const curveSecret = x25519.getSharedSecret(curveKey, curveCiphertext);
  return combine(kemSecret, curveSecret, curveCiphertext, x25519.getPublicKey(curveKey));
}

const labeledExtract = (salt, label, ikm) =>
  hmac(salt.length ? salt : new Uint8Array(32), concat(utf8("HPKE-v1"), SUITE_ID, utf8(label), ikm));

async function labeledExpand(prk, label, info, size) {
  const head = Uint8Array.of(size >> 8, size & 255);
  const whole = concat(head, utf8("HPKE-v1"), SUITE_ID, utf8(label), info);
  return (await hmac(prk, concat(whole, Uint8Array.of(1)))).subarray(0, size);
}

async function schedule(secret, info) {
  const context = concat(
    Uint8Array.of(0),
    await labeledExtract(EMPTY, "psk_id_hash", EMPTY),
    await labeledExtract(EMPTY, "info_hash", info),
  );
  const prk = await labeledExtract(secret, "secret", EMPTY);
  return {
    key: await labeledExpand(prk, "key", context, 32),
    nonce: await labeledExpand(prk, "base_nonce", context, 12),
  };
}

export async function seal(data, publicKey, info) {
  const { enc, secret } = encapsulate(publicKey);
  const { key, nonce } = await schedule(secret, info);
  return concat(enc, chacha20poly1305(key, nonce).encrypt(data));
}

export async function unseal(sealed, secretKey, info) {
  const enc = sealed.subarray(0, KEM_CIPHERTEXT + 32);
  const { key, nonce } = await schedule(decapsulate(enc, secretKey), info);
  return chacha20poly1305(key, nonce).decrypt(sealed.subarray(enc.length));
}

// SHA-256 over owner, dataset, grant, every word of the terms, and the suite.
export function grantInfo(owner, dataset, grant, terms) {
  const parts = [utf8("omic/grant/v1"), utf8(owner), utf8(dataset), utf8(grant), canonical(terms), utf8(SUITE)];
  return sha256(concat(...parts.flatMap((part) => [u32(part.length), part])));
}

// A one-packet header and the 32-byte activity key, openable only under exactly these terms.
export const sealGrant = (header, activityKey, publicKey, info) => seal(concat(activityKey, header), publicKey, info);
