// Encrypts a file part by part, off the page's thread. Each part is asked for when the last one was
// taken, so that memory stays at a few parts however large the file is. Blocks are independent, so
// several workers encrypt them; here they are put in order and counted into the digest.

import { sha256 } from "../vendor/noble.js";
import { hex, sha256 as nativeSha256 } from "./bytes.js";
import { SEGMENT } from "./crypt4gh.js";

const state = {};
const BATCH = 32;
const MOST_WORKERS = 4;
const policy = self.trustedTypes?.createPolicy("omic", { createScriptURL: () => "/js/blocks.worker.js" });

// Workers that take turns; a call is answered by the one that was asked.
class Pool {
  constructor(size) {
    this.waiting = new Map();
    this.next = 0;
    const address = policy ? policy.createScriptURL("") : "/js/blocks.worker.js";
    this.workers = Array.from({ length: size }, () => {
      const worker = new Worker(address, { type: "module" });
      worker.onmessage = ({ data }) => {
        const [resolve, reject] = this.waiting.get(data.id);
        this.waiting.delete(data.id);
        if (data.ok) resolve(data);
        else reject(new Error(data.message));
      };
      worker.onerror = () => { for (const [, reject] of this.waiting.values()) reject(new Error("an encryption worker stopped")); };
      return worker;
    });
  }

  ask(worker, message, moved = []) {
    const id = this.next;
    this.next += 1;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, [resolve, reject]);
      worker.postMessage({ ...message, id }, moved);
    });
  }

  all(message) { return Promise.all(this.workers.map((worker) => this.ask(worker, message))); }

  one(message, moved) { return this.ask(this.workers[this.next % this.workers.length], message, moved); }
}
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

async function start({ file, dataKey, header, partSize, allowNative = true, workers = navigator.hardwareConcurrency || 1 }) {
  state.file = file;
  state.pool = new Pool(Math.max(1, Math.min(MOST_WORKERS, workers)));
  const [{ native }] = await state.pool.all({ dataKey, allowNative });
  state.flight = [];
  state.read = 0;
  state.digest = digester(file.size);
  state.digest.update(header);
  state.pending = [header];
  state.have = header.length;
  state.size = header.length;
  state.at = 0;
  state.partSize = partSize;
  return { native };
}

async function nextPart() {
  while (state.have < state.partSize && state.at < state.file.size) await encryptMore();
  const last = state.at >= state.file.size && state.have <= state.partSize;
  const part = take(Math.min(state.partSize, state.have));
  const done = last ? { sha256: hex(await state.digest.digest()), size: state.size } : null;
  return { part, done, read: state.at };
}

// Keep two runs of blocks a worker on their way, and take in the oldest.
async function encryptMore() {
  while (state.flight.length < 2 * state.pool.workers.length && state.read < state.file.size) send();
  const { end, sealed } = await state.flight.shift();
  state.digest.update(sealed);
  state.pending.push(sealed);
  state.have += sealed.length;
  state.size += sealed.length;
  state.at = end;
}

function send() {
  const from = state.read;
  const end = Math.min(state.file.size, from + BATCH * SEGMENT);
  state.read = end;
  const run = async () => {
    const plain = new Uint8Array(await state.file.slice(from, end).arrayBuffer());
    if (plain.length !== end - from) throw new Error("the file changed while it was read; choose it again");
    const { sealed } = await state.pool.one({ plain, first: from / SEGMENT }, [plain.buffer]);
    return { end, sealed };
  };
  const made = run();
  made.catch(() => {}); // said when its turn comes
  state.flight.push(made);
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
