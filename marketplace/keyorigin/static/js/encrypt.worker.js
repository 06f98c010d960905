// Encrypts a file part by part, off the page's thread. Each part is asked for when the last one was
// taken, so that memory stays at a few parts however large the file is.

import { sha256 } from "../vendor/noble.js";
import { hex, sha256 as nativeSha256 } from "./bytes.js";
import { blockCipher, encryptBlocks, nonceMaker, SEGMENT } from "./crypt4gh.js";

const state = {};
const BATCH = 64;
// Native SHA-256 takes whole messages only: worth a copy of the ciphertext up to this size.
const NATIVE_DIGEST_LIMIT = 256 << 20;

// SHA-256 of what passes: native over kept bytes, or in JavaScript where they are too many.
function digester(size) {
  if (size > NATIVE_DIGEST_LIMIT) {
    const running = sha256.create();
    return { update: (bytes) => running.update(bytes), digest: async () => running.digest() };
  }
  const kept = [];
  return {
    update: (bytes) => kept.push(bytes),
    digest: async () => nativeSha256(new Uint8Array(await new Blob(kept).arrayBuffer())),
  };
}

async function start({ file, dataKey, header, partSize, allowNative = true }) {
  state.file = file;
  state.cipher = await blockCipher(dataKey, allowNative);
  state.nonceOf = await nonceMaker(dataKey);
  state.digest = digester(file.size);
  state.digest.update(header);
  state.pending = [header];
  state.have = header.length;
  state.size = header.length;
  state.at = 0;
  state.partSize = partSize;
  return { native: state.cipher.native };
}

async function nextPart() {
  while (state.have < state.partSize && state.at < state.file.size) await encryptMore();
  const last = state.at >= state.file.size && state.have <= state.partSize;
  const part = take(Math.min(state.partSize, state.have));
  const done = last ? { sha256: hex(await state.digest.digest()), size: state.size } : null;
  return { part, done, read: state.at };
}

async function encryptMore() {
  const end = Math.min(state.file.size, state.at + BATCH * SEGMENT);
  const plain = new Uint8Array(await state.file.slice(state.at, end).arrayBuffer());
  if (plain.length !== end - state.at) throw new Error("the file changed while it was read; choose it again");
  const sealed = await encryptBlocks(state.cipher, state.nonceOf, plain, state.at / SEGMENT);
  state.digest.update(sealed);
  state.pending.push(sealed);
  state.have += sealed.length;
  state.size += sealed.length;
  state.at = end;
}

function take(size) {
  const part = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const chunk = state.pending.shift();
    const room = size - at;
    part.set(chunk.subarray(0, room), at);
    if (chunk.length > room) state.pending.unshift(chunk.subarray(room));
    at += Math.min(chunk.length, room);
  }
  state.have -= size;
  return part;
}

self.onmessage = async ({ data }) => {
  try {
    const answer = data.do === "start" ? await start(data) : await nextPart();
    self.postMessage({ ok: true, ...answer }, answer.part ? [answer.part.buffer] : []);
  } catch (error) {
    self.postMessage({ ok: false, message: String(error.message ?? error) });
  }
};
