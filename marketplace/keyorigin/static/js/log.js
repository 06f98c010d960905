// The ledger as this page believes it: every answer is checked against the pinned policy.

import { b64, equal, fromUtf8, unb64, unhex } from "./bytes.js";
import { config } from "./config.js";
import { leafBytes, entryBytes, fingerprint, parseEntryBytes, pae, submissionJson } from "./entry.js";
import { ask } from "./http.js";
import { leafHash, treeRoot } from "./merkle.js";
import { parsePolicy, verifyCheckpoint, verifyEd25519, verifyProof } from "./note.js";

const BUNDLE = 256;

export async function policy() {
  return (policy.loaded ??= await parsePolicy((await config()).trust.witness_policy));
}

const ledger = async (path) => (await config()).trust.ledger_url + path;

// Post statements, all or none; return what must be kept of each: place, leaf, opening, receipt.
export async function append(submissions) {
  const body = { entries: submissions.map(submissionJson) };
  const answer = await ask(await ledger("/entries?wait=1"), { method: "POST", json: body });
  return Promise.all(submissions.map((one, i) => kept(one, answer.entries[i])));
}

async function kept(one, place) {
  const leaf = await leafBytes(one, place.time);
  if (!equal(leaf, unb64(place.leaf))) throw new Error("the ledger wrote something else than was signed; stop here");
  const proof = await verifyProof(await policy(), leaf, place.receipt);
  if (proof.index !== place.index) throw new Error("the ledger's receipt is of another entry; stop here");
  return {
    index: place.index, type: one.entry.type, time: place.time, leaf: place.leaf,
    entry: b64(entryBytes(one.entry)), salt: one.salt && b64(one.salt), receipt: place.receipt,
  };
}

export async function checkpoint() {
  const note = await (await ask(await ledger("/checkpoint"), { raw: true })).text();
  return { ...await verifyCheckpoint(await policy(), note), note };
}

// The log's proof that one tree continues another; it proves nothing until it is checked.
export async function consistency(old, size) {
  const { hashes } = await ask(await ledger(`/proof/consistency?old=${old}&new=${size}`));
  return hashes.map(unhex);
}

// One leaf with the proof that it is in the log. Asks for the bundle of entries it lies in.
export async function provenLeaf(index) {
  const receipt = await (await ask(await ledger(`/receipt/${index}`), { raw: true })).text();
  const size = Number(/\n\n[^\n]+\n(\d+)\n/.exec(receipt)[1]);
  const leaf = (await entriesOf(Math.floor(index / BUNDLE), size))[index % BUNDLE];
  const proof = await verifyProof(await policy(), leaf, receipt);
  if (proof.index !== index) throw new Error("the ledger answered with the proof of another entry");
  return { leaf, receipt, ...proof };
}

// All leaves of one bundle (numbers 256 n to 256 n + 255, or fewer at the end), each proved to be in the
// log at its place: together they have the hash that the first one's proof climbs through.
export async function provenLeaves(bundle) {
  const { receipt, leaf: first, checkpoint: seen, steps } = await provenLeaf(bundle * BUNDLE);
  const leaves = await entriesOf(bundle, seen.size);
  const hashes = await Promise.all(leaves.map(leafHash));
  const level = Math.ceil(Math.log2(hashes.length));
  const proved = level ? steps[level - 1].hash : await leafHash(first);
  if (!equal(await treeRoot(hashes), proved)) throw new Error(`the ledger shows entries from ${bundle * BUNDLE} on that its signed tree does not hold; stop here`);
  return { leaves, size: seen.size, receipt };
}

async function entriesOf(bundle, size) {
  const width = Math.min(BUNDLE, size - bundle * BUNDLE);
  const path = (partial) => `/tile/entries/${tilePath(bundle)}${partial ? `.p/${width}` : ""}`;
  let response;
  try {
    response = await ask(await ledger(path(width < BUNDLE)), { raw: true });
  } catch (error) {
    if (error.status !== 404) throw error;
    response = await ask(await ledger(path(false)), { raw: true });
  }
  return split(new Uint8Array(await response.arrayBuffer())).slice(0, width);
}

function tilePath(n) {
  const groups = [String(n % 1000).padStart(3, "0")];
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, "0")}`);
  }
  return groups.join("/");
}

function split(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const entries = [];
  for (let at = 0; at < data.length; at += 2 + view.getUint16(at)) entries.push(data.slice(at + 2, at + 2 + view.getUint16(at)));
  return entries;
}

// A public entry of the log: inclusion proved, its first signature checked.
export async function publicEntry(index) {
  const proven = await provenLeaf(index);
  const opened = openedLeaf(proven.leaf, index);
  if (!opened) throw new Error(`entry ${index} is personal; its content is not in the log`);
  return { ...proven, ...opened };
}

// What a public leaf holds, its first signature checked; null for a personal one.
export function openedLeaf(bytes, index) {
  const leaf = JSON.parse(fromUtf8(bytes));
  if (!leaf.entry) return null;
  const entry = parseEntryBytes(unb64(leaf.entry));
  const [first] = entry.signatures;
  if (first.kind === "ed25519" && !verifyEd25519(first.publicKey, pae(entry.type, entry.payloadBytes), first.parts[0])) {
    throw new Error(`the signature of entry ${index} is wrong`);
  }
  return { entry, time: leaf.time };
}

// The compute key consents are sealed to: the newest one the *log* shows that is valid now, signed by
// the compute identity pinned in this bundle. hints: indexes somebody named; they prove nothing.
export async function recipient(hints, region, now = Date.now()) {
  const pinned = (await config()).trust.pins.compute;
  let best = null;
  for (const index of hints) {
    const { entry } = await publicEntry(index);
    const key = entry.payload;
    const trusted = entry.type === "compute.key_published" && pinned.includes(b64(entry.signatures[0].publicKey));
    const valid = trusted && key.region === region && key.not_before <= now && now < key.not_after;
    if (valid && (await fingerprint(entry.signatures[0].publicKey)) === key.actor
      && (best === null || key.not_before > best.not_before)) best = { ...key, index };
  }
  if (best === null) throw new Error("the ledger shows no compute key valid now, so no consent can be given yet");
  return best;
}
