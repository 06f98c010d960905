// Crypt4GH version 1: headers with one data key, and data blocks of 65,536 bytes.
// Spec: samtools/hts-specs crypt4gh. The crypt4gh package opens what is written here (tests).

import { blake2b, chacha20poly1305, x25519 } from "../vendor/noble.js";
import { concat, equal, random, readU32le, u32, utf8 } from "./bytes.js";

export const SEGMENT = 65536;
const OVERHEAD = 28;
export const CIPHER_SEGMENT = SEGMENT + OVERHEAD;
const MAGIC = concat(utf8("crypt4gh"), u32(1, true));
const MAX_HEADER = 65536;

export const publicOf = (secret) => x25519.getPublicKey(secret);

function sharedKey(secret, other, reader, writer) {
  const dh = x25519.getSharedSecret(secret, other);
  return blake2b(concat(dh, reader, writer), { dkLen: 64 }).subarray(0, 32);
}

// A complete header that gives one reader (32-byte X25519 public key) the 32-byte data key.
export function makeHeader(dataKey, reader, writer = random(32), nonce = random(12)) {
  const own = publicOf(writer);
  const key = sharedKey(writer, reader, reader, own);
  const content = concat(u32(0, true), u32(0, true), dataKey);
  const sealed = chacha20poly1305(key, nonce).encrypt(content);
  const packet = concat(u32(0, true), own, nonce, sealed);
  return concat(MAGIC, u32(1, true), u32(packet.length + 4, true), packet);
}

export function readHeader(file) {
  if (!equal(file.subarray(0, 12), MAGIC)) throw new Error("this is not a Crypt4GH version 1 file");
  const count = readU32le(file, 12);
  let end = 16;
  for (let i = 0; i < count; i += 1) {
    const size = end + 4 <= file.length ? readU32le(file, end) : 0;
    end += size;
    if (size < 4 || end > Math.min(file.length, MAX_HEADER)) throw new Error("the Crypt4GH header is cut");
  }
  return file.subarray(0, end);
}

// The one data key a header holds for this reader.
export function openHeader(header, secret) {
  const reader = publicOf(secret);
  const found = [];
  for (let at = 16; at < header.length; at += readU32le(header, at)) {
    const packet = header.subarray(at + 4, at + readU32le(header, at));
    if (readU32le(packet, 0) !== 0) continue;
    const [writer, nonce, sealed] = [packet.subarray(4, 36), packet.subarray(36, 48), packet.subarray(48)];
    try {
      found.push(chacha20poly1305(sharedKey(secret, writer, reader, writer), nonce).decrypt(sealed));
    } catch {
      continue; // a packet for another reader
    }
  }
  if (found.length !== 1 || found[0].length !== 40 || readU32le(found[0], 0) !== 0) {
    throw new Error("the header holds no data key for this key, or more than one");
  }
  return found[0].slice(8);
}

// The same data key for another reader; the file's blocks stay as they are.
export const reencryptHeader = (header, secret, reader) => makeHeader(openHeader(header, secret), reader);

// Ciphers: native ChaCha20-Poly1305 where the browser has it, @noble/ciphers otherwise.
export async function blockCipher(dataKey, allowNative = true) {
  const native = allowNative ? await nativeKey(dataKey) : null;
  if (native === null) {
    return {
      native: false,
      encrypt: async (nonce, plain) => chacha20poly1305(dataKey, nonce).encrypt(plain),
      decrypt: async (nonce, sealed) => chacha20poly1305(dataKey, nonce).decrypt(sealed),
    };
  }
  const how = (iv) => ({ name: "ChaCha20-Poly1305", iv });
  return {
    native: true,
    encrypt: async (nonce, plain) => new Uint8Array(await crypto.subtle.encrypt(how(nonce), native, plain)),
    decrypt: async (nonce, sealed) => new Uint8Array(await crypto.subtle.decrypt(how(nonce), native, sealed)),
  };
}

async function nativeKey(dataKey) {
  for (const format of ["raw-secret", "raw"]) {
    try {
      return await crypto.subtle.importKey(format, dataKey, { name: "ChaCha20-Poly1305" }, false, ["encrypt", "decrypt"]);
    } catch (error) {
      if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    }
  }
  return null;
}

// The nonce of a block is a PRF of its place and its very content: an upload that is taken up
// again gives the same bytes, and a file changed meanwhile never meets a used nonce.
export async function nonceMaker(dataKey) {
  const how = { name: "HMAC", hash: "SHA-256" };
  const root = await crypto.subtle.importKey("raw", dataKey, how, false, ["sign"]);
  const derived = await crypto.subtle.sign("HMAC", root, utf8("omic/block-nonce/v1"));
  const key = await crypto.subtle.importKey("raw", derived, how, false, ["sign"]);
  return async (index, plain) => {
    const digest = await crypto.subtle.digest("SHA-256", plain);
    const message = concat(u32(Math.floor(index / 2 ** 32)), u32(index >>> 0), new Uint8Array(digest));
    return new Uint8Array(await crypto.subtle.sign("HMAC", key, message)).subarray(0, 12);
  };
}

// Encrypt consecutive blocks; first: index of the first block.
export async function encryptBlocks(cipher, nonceOf, plain, first) {
  const blocks = [];
  for (let at = 0; at < plain.length; at += SEGMENT) blocks.push(plain.subarray(at, at + SEGMENT));
  const out = new Uint8Array(plain.length + OVERHEAD * blocks.length);
  await Promise.all(blocks.map(async (block, i) => {
    const nonce = await nonceOf(first + i, block);
    out.set(nonce, i * CIPHER_SEGMENT);
    out.set(await cipher.encrypt(nonce, block), i * CIPHER_SEGMENT + 12);
  }));
  return out;
}

// A whole small file for one reader.
export async function encryptFor(reader, plain) {
  const dataKey = random(32);
  const blocks = await encryptBlocks(await blockCipher(dataKey), await nonceMaker(dataKey), plain, 0);
  return concat(makeHeader(dataKey, reader), blocks);
}

export async function decryptFile(file, secret) {
  const header = readHeader(file);
  const cipher = await blockCipher(openHeader(header, secret));
  const parts = [];
  for (let at = header.length; at < file.length; at += CIPHER_SEGMENT) {
    const block = file.subarray(at, at + CIPHER_SEGMENT);
    if (block.length <= OVERHEAD) throw new Error("the file ends inside a block");
    parts.push(await cipher.decrypt(block.subarray(0, 12), block.subarray(12)));
  }
  return concat(...parts);
}
