// Signed checkpoints, witnesses' cosignatures and the quorum that makes a checkpoint count.
// Spec: C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy, tlog-proof.
// The same verdicts as ledger/policy.py and ledger/proof.py for Ed25519 logs and witnesses.

import { ed25519 } from "../vendor/noble.js";
import { concat, equal, hex, sha256, unb64, utf8 } from "./bytes.js";
import { leafHash, verifyInclusion } from "./merkle.js";

const LOG_KEY = 1;
const WITNESS_KEY = 4;

export function verifyEd25519(publicKey, message, signature) {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

export async function parseVkey(text) {
  const [name, id, ...rest] = text.split("+");
  const raw = unb64(rest.join("+"));
  const made = (await sha256(concat(utf8(`${name}\n`), raw))).subarray(0, 4);
  if (hex(made) !== id) throw new Error(`the key id of ${name} is wrong`);
  return { name, id: made, type: raw[0], publicKey: raw.subarray(1) };
}

// -> {log, witnesses: Map(name -> key), groups: [{name, threshold, members}], quorum}
export async function parsePolicy(text) {
  const policy = { log: null, witnesses: new Map(), groups: [], quorum: null };
  for (const line of text.split("\n")) {
    const [word, ...rest] = line.trim().split(/[ \t]+/);
    if (word === "log") policy.log = await parseVkey(rest[0]);
    else if (word === "witness") policy.witnesses.set(rest[0], await parseVkey(rest[1]));
    else if (word === "group") policy.groups.push({ name: rest[0], threshold: Number(rest[1]), members: rest.slice(2) });
    else if (word === "quorum") policy.quorum = rest[0];
    else if (word && !word.startsWith("#")) throw new Error(`the policy line ${word} is unknown`);
  }
  if (!policy.log || !policy.quorum || policy.quorum === "none") throw new Error("the policy names no log or no quorum");
  return policy;
}

function parseNote(text) {
  const split = text.lastIndexOf("\n\n");
  if (split < 0 || !text.endsWith("\n")) throw new Error("not a signed note");
  const lines = text.slice(split + 2, -1).split("\n");
  const signatures = lines.map((line) => {
    const match = /^\u2014 (\S+) (\S+)$/.exec(line);
    if (!match) throw new Error("a signature line of the note is not one");
    const raw = Uint8Array.from(atob(match[2]), (c) => c.charCodeAt(0));
    return { name: match[1], id: raw.subarray(0, 4), signature: raw.subarray(4) };
  });
  return { text: text.slice(0, split + 1), signatures };
}

export function parseCheckpoint(text) {
  const [origin, size, root] = text.split("\n");
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size ?? "")) throw new Error("the checkpoint has no tree size");
  return { origin, size: Number(size), root: unb64(root) };
}

// -> {origin, size, root, time (Unix seconds at which the quorum was still met), witnesses}
export async function verifyCheckpoint(policy, noteText) {
  const note = parseNote(noteText);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== policy.log.name) throw new Error("the checkpoint is of another log");
  if (!signedBy(policy.log, note)) throw new Error("the log did not sign this checkpoint");
  const times = new Map();
  for (const [name, key] of policy.witnesses) {
    const time = cosignedAt(key, note);
    if (time !== null) times.set(name, time);
  }
  const time = quorumTime(policy, times);
  if (time === null) throw new Error(`only ${times.size} witnesses cosigned; that is too few`);
  return { ...checkpoint, time, witnesses: [...times.keys()] };
}

function lines(key, note) {
  return note.signatures.filter((one) => one.name === key.name && equal(one.id, key.id));
}

function signedBy(key, note) {
  const found = lines(key, note);
  const good = found.every((one) => verifyEd25519(key.publicKey, utf8(note.text), one.signature));
  if (found.length && !good) throw new Error("the log's signature on the checkpoint is wrong");
  return key.type === LOG_KEY && found.length > 0;
}

function cosignedAt(key, note) {
  let newest = null;
  for (const one of lines(key, note)) {
    const view = new DataView(one.signature.buffer, one.signature.byteOffset, 8);
    const time = Number(view.getBigUint64(0));
    const message = concat(utf8(`cosignature/v1\ntime ${time}\n`), utf8(note.text));
    const good = key.type === WITNESS_KEY && time > 0 && verifyEd25519(key.publicKey, message, one.signature.subarray(8));
    if (!good) throw new Error(`the cosignature of ${key.name} is wrong`);
    newest = Math.max(newest ?? 0, time);
  }
  return newest;
}

function quorumTime(policy, times) {
  const reached = new Map(times);
  for (const group of policy.groups) {
    const got = group.members.filter((m) => reached.has(m)).map((m) => reached.get(m)).sort((a, b) => b - a);
    if (got.length >= group.threshold) reached.set(group.name, got[group.threshold - 1]);
  }
  return reached.get(policy.quorum) ?? null;
}

// Check offline that a leaf is in the log (tlog-proof). -> {index, checkpoint, steps}
export async function verifyProof(policy, leaf, proofText) {
  const cut = proofText.indexOf("\n\n");
  const head = proofText.slice(0, cut).split("\n");
  if (cut < 0 || head.shift() !== "c2sp.org/tlog-proof@v1") throw new Error("not a tlog-proof");
  if (head[0]?.startsWith("extra ")) head.shift();
  const index = Number(/^index (0|[1-9][0-9]{0,15})$/.exec(head.shift() ?? "")?.[1] ?? NaN);
  const checkpoint = await verifyCheckpoint(policy, proofText.slice(cut + 2));
  const path = head.map(unb64);
  if (path.some((hash) => hash.length !== 32)) throw new Error("a hash of the proof is not 32 bytes");
  const steps = await verifyInclusion(index, checkpoint.size, await leafHash(leaf), path, checkpoint.root);
  return { index, checkpoint, steps };
}
