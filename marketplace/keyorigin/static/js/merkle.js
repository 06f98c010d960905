// RFC 6962 / RFC 9162 inclusion and consistency proofs. Same rules as ledger/merkle.py.

import { concat, equal, sha256 } from "./bytes.js";

export const leafHash = (leaf) => sha256(concat(Uint8Array.of(0), leaf));
const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

// The root over leaf hashes; of none, the hash of nothing. RFC 9162 section 2.1.1: the left part is the
// largest power of two below the number of leaves.
export async function treeRoot(hashes) {
  if (hashes.length < 2) return hashes[0] ?? sha256(new Uint8Array());
  const half = 2 ** (Math.ceil(Math.log2(hashes.length)) - 1);
  return nodeHash(...await Promise.all([treeRoot(hashes.slice(0, half)), treeRoot(hashes.slice(half))]));
}

// Each step of the climb from a leaf: {hash, sibling, left}; the last hash is the root it proves.
// RFC 9162 section 2.1.3.2, with exact integers up to 2^53.
export async function climb(index, size, leaf, path) {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && 0 <= index && index < size)) {
    throw new Error("the index lies outside the tree");
  }
  let [node, last, hash] = [index, size - 1, leaf];
  const steps = [];
  for (const sibling of path) {
    if (last === 0) throw new Error("the inclusion proof is too long");
    const left = node % 2 === 1 || node === last;
    hash = left ? await nodeHash(sibling, hash) : await nodeHash(hash, sibling);
    steps.push({ hash, sibling, left });
    if (left) while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new Error("the inclusion proof is too short");
  return { root: hash, steps };
}

export async function verifyInclusion(index, size, leaf, path, root) {
  const { root: proved, steps } = await climb(index, size, leaf, path);
  if (!equal(proved, root)) throw new Error("the inclusion proof leads to another root");
  return steps;
}

// That a tree of `old` leaves is the beginning of one of `size`. RFC 9162 section 2.1.4.2; a tree of
// nothing is the beginning of every one, so asking for it is refused.
export async function verifyConsistency(old, size, path, oldRoot, root) {
  if (!(Number.isSafeInteger(old) && Number.isSafeInteger(size) && 0 < old && old <= size)) throw new Error("no proof is possible between these sizes");
  if (old === size) {
    if (path.length || !equal(oldRoot, root)) throw new Error("two trees of one size differ");
    return;
  }
  let [node, last] = [old - 1, size - 1];
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  const [first, ...rest] = node === 0 ? [oldRoot, ...path] : path;
  if (first === undefined || path.length === 0) throw new Error("the consistency proof is empty");
  let [part, whole] = [first, first];
  for (const step of rest) {
    if (last === 0) throw new Error("the consistency proof is too long");
    if (node % 2 === 1 || node === last) {
      part = await nodeHash(step, part);
      whole = await nodeHash(step, whole);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else whole = await nodeHash(whole, step);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new Error("the consistency proof is too short");
  if (!equal(part, oldRoot) || !equal(whole, root)) throw new Error("the consistency proof does not connect the two roots");
}
