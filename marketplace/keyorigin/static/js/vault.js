// The vault: a person's keys and records, encrypted under a vault key that each way in wraps.
// Ways in: a passkey's PRF secret, a printed code, a passphrase. Whoever stores it learns nothing;
// a way in finds its vault by a locator derived from the same secret. marketplace/client/vault.py
// reads and writes the same document.

import { b64, concat, fromUtf8, hex, hkdf, random, unb64, utf8 } from "./bytes.js";

const ROUNDS = 600000;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford's base32
const CODE_BYTES = 20;

export async function newVault(content) {
  return { key: random(32), wraps: [], content };
}

// Each way in: {kind, secret (bytes)}; a passphrase is stretched first (PBKDF2-SHA256).
export async function addWay(vault, way) {
  const salt = random(16);
  const secret = way.kind === "passphrase" ? await stretched(way.secret, salt, ROUNDS) : way.secret;
  const wrap = { kind: way.kind, box: await box(await hkdf(secret, "omic/vault/wrap/v1", 32), vault.key) };
  if (way.kind === "passphrase") Object.assign(wrap, { salt: b64(salt), rounds: ROUNDS });
  else wrap.locator = await locatorOf(secret);
  if (way.credential) wrap.credential = way.credential;
  const same = (one) => one.kind === way.kind && (way.kind !== "prf" || one.credential === way.credential);
  return { ...vault, wraps: [...vault.wraps.filter((one) => !same(one)), wrap] };
}

export const locatorOf = async (secret) => hex(await hkdf(secret, "omic/vault/locator/v1", 16));

export const recoverySeed = (code) => hkdf(code, "omic/recovery-key/v1", 32);

export async function close(vault) {
  return { v: 1, wraps: vault.wraps, box: await box(vault.key, utf8(JSON.stringify(vault.content))) };
}

// What a closed copy holds, for who has its key already; null where it is of another key.
export async function contentOf(key, closed) {
  if (closed.v !== 1 || typeof closed.box !== "string") return null;
  const plain = await unbox(key, closed.box);
  return plain === null ? null : JSON.parse(fromUtf8(plain));
}

const WRONG = {
  prf: "this passkey does not open the keys kept here. Use another passkey, your passphrase or your printed code.",
  code: "this code does not open the keys kept here. Compare it with your paper, letter by letter; a code you replaced opens nothing any more.",
  passphrase: "this passphrase does not open the keys. Check it for typing errors, also capital letters, or use your printed code.",
};

export async function open(closed, way) {
  if (closed.v !== 1) throw new Error("these keys were saved by a newer version of this page; reload it");
  for (const wrap of closed.wraps.filter((one) => one.kind === way.kind)) {
    const secret = way.kind === "passphrase" ? await stretched(way.secret, unb64(wrap.salt), wrap.rounds) : way.secret;
    const key = await unbox(await hkdf(secret, "omic/vault/wrap/v1", 32), wrap.box);
    if (key === null) continue;
    const plain = await unbox(key, closed.box);
    if (plain === null) throw new Error("the locked copy of your keys is damaged. Bring them here again with your printed code, or from a file you exported.");
    return { key, wraps: closed.wraps, content: JSON.parse(fromUtf8(plain)) };
  }
  throw new Error(WRONG[way.kind]);
}

async function stretched(passphrase, salt, iterations) {
  if (!(iterations >= 1000 && iterations <= 5000000)) throw new Error("the vault asks for a strange number of rounds");
  const key = await crypto.subtle.importKey("raw", passphrase, "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256));
}

const aes = (key, use) => crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);

async function box(key, plain) {
  const iv = random(12);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await aes(key, "encrypt"), plain);
  return b64(concat(iv, new Uint8Array(sealed)));
}

async function unbox(key, text) {
  const data = unb64(text);
  try {
    const how = { name: "AES-GCM", iv: data.subarray(0, 12) };
    return new Uint8Array(await crypto.subtle.decrypt(how, await aes(key, "decrypt"), data.subarray(12)));
  } catch {
    return null;
  }
}

export const newCode = () => random(CODE_BYTES);

// 160 bits as eight groups of four, for a sheet of paper.
export function formatCode(bytes) {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  const letters = Array.from({ length: 32 }, (_, i) => ALPHABET[Number((bits >> BigInt(155 - 5 * i)) & 31n)]);
  return letters.join("").match(/.{4}/g).join("-");
}

export function parseCode(text) {
  const plain = text.toUpperCase().replace(/[^0-9A-Z]/g, "").replaceAll("O", "0").replace(/[IL]/g, "1");
  if (plain.length !== 32) throw new Error(`a printed code has 32 letters and digits; here are ${plain.length}`);
  let bits = 0n;
  for (const letter of plain) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) throw new Error(`${letter} is no letter of a printed code`);
    bits = (bits << 5n) | BigInt(value);
  }
  return Uint8Array.from({ length: CODE_BYTES }, (_, i) => Number((bits >> BigInt(152 - 8 * i)) & 255n));
}
