// Encrypt and send a file in parts: pause, continue, and take up again after a reload.
// What the server already has is asked, not remembered; the same file gives the same bytes.

import { b64, hex, random, sha256, unb64 } from "./bytes.js";
import { makeHeader, publicOf } from "./crypt4gh.js";

export const PART = 4 << 20;
const TRIES = 8;
const LONGEST_WAIT = 20_000;

// Trusted Types: the only script this page may start besides its own modules.
const policy = self.trustedTypes?.createPolicy("omic", { createScriptURL: () => "/js/encrypt.worker.js" });

export class Encryptor {
  constructor() {
    const address = policy ? policy.createScriptURL("") : "/js/encrypt.worker.js";
    this.worker = new Worker(address, { type: "module" });
  }

  call(message) {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => (data.ok ? resolve(data) : reject(new Error(data.message)));
      this.worker.onerror = () => reject(new Error("the encryption worker stopped"));
      this.worker.postMessage(message);
    });
  }

  end() { this.worker.terminate(); }
}

// The secrets of one upload, kept in the vault until the dataset is registered.
export function newUpload(dataset, file, encryptSecret) {
  const dataKey = random(32);
  const header = makeHeader(dataKey, publicOf(encryptSecret));
  return { dataset, name: file.name, size: file.size, data_key: b64(dataKey), header: b64(header) };
}

export class Upload {
  // onProgress(read, total): bytes of the file; onCut(): the connection is gone, and is tried again.
  constructor(market, pending, file, onProgress, onCut = () => {}) {
    Object.assign(this, { market, pending, file, onProgress, onCut });
    this.gate = Promise.resolve();
    this.release = null;
  }

  pause() {
    if (this.release === null) this.gate = new Promise((resolve) => { this.release = resolve; });
  }

  resume() {
    this.release?.();
    this.release = null;
  }

  get paused() { return this.release !== null; }

  // -> {sha256, size, header_size} of the whole ciphertext, as signed into dataset.registered.
  async run() {
    if (this.file.size !== this.pending.size) throw new Error("this is not the file the upload began with; choose that one, or forget the upload");
    const encryptor = new Encryptor();
    try {
      return await this.parts(encryptor);
    } finally {
      encryptor.end();
    }
  }

  async parts(encryptor) {
    const { dataset, data_key: key, header } = this.pending;
    const there = new Map((await this.market.call(`/uploads/${dataset}/parts`)).parts.map((p) => [p.number, p]));
    await encryptor.call({ do: "start", file: this.file, dataKey: unb64(key), header: unb64(header), partSize: PART });
    for (let number = 0; ; number += 1) {
      await this.gate;
      const { part, done, read } = await encryptor.call({ do: "part" });
      const digest = hex(await sha256(part));
      if (there.get(number)?.sha256 !== digest) await this.send(number, part, digest);
      this.onProgress(read, this.file.size);
      if (done) return this.finish(done, number + 1);
    }
  }

  // A part that does not arrive is sent again, for about two minutes, or as soon as there is a network.
  async send(number, part, digest) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.market.sendPart(this.pending.dataset, number, part, digest);
      } catch (error) {
        const hopeless = error.status >= 400 && error.status < 500 && error.status !== 429;
        if (hopeless) throw error;
        if (attempt === TRIES) throw new Error("the connection is cut. What was sent is kept: press the button again, now or another day, and it goes on from there");
        this.onCut();
        await connected(Math.min(LONGEST_WAIT, 250 * 2 ** attempt));
        await this.gate;
      }
    }
  }

  async finish(done, parts) {
    await this.market.post(`/uploads/${this.pending.dataset}/complete`, { sha256: done.sha256, size: done.size, parts });
    return { sha256: done.sha256, size: done.size, header_size: unb64(this.pending.header).length };
  }
}

function connected(most) {
  return new Promise((resolve) => {
    setTimeout(resolve, most);
    self.addEventListener("online", resolve, { once: true });
  });
}
