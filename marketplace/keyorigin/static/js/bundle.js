// Check a bundle (or one receipt) offline, under the policy this page was built with: every entry's
// place in the log, its signatures where they are Ed25519, and that the answer is the one committed to.
// The omic command checks more (claims, prices, reviews): `omic audit result`.

import { concat, equal, fromUtf8, hmac, sha256, unb64, unhex, utf8 } from "./bytes.js";
import { commitment, pae, parseEntryBytes } from "./entry.js";
import { verifyEd25519, verifyProof } from "./note.js";

// text: the bundle's JSON exactly as it was decrypted. -> {bundle, entries, published (the entry that
// commits to the answer), lines of [what, detail]}, or throws, naming the step.
export async function checkBundle(policy, text) {
  const bundle = JSON.parse(text);
  if (bundle.v !== 1 || !Array.isArray(bundle.entries)) throw new Error("this is not a bundle of ours");
  const entries = [];
  for (const one of bundle.entries) entries.push(await checkEntry(policy, one));
  const found = (type) => entries.find((one) => one.type === type && [undefined, bundle.order].includes(one.payload.order));
  const [placed, access, published] = ["order.placed", "access.recorded", "result.published"].map((type) => {
    const one = found(type);
    if (!one) throw new Error(`the bundle holds no ${type} of this order`);
    return one;
  });
  if (!(placed.index < access.index && access.index < published.index)) throw new Error("the entries stand in the wrong order");
  await checkAnswer(bundle.result, answerText(text), published.payload);
  return {
    bundle, entries, published,
    lines: [
      ["Entries proved to be in the log", String(entries.length)],
      ["The order was signed", `entry ${placed.index}`],
      ["The use was written down before anything was opened", `entry ${access.index}: ${access.payload.opened} people's data`],
      ["This very answer was committed to", `entry ${published.index}`],
    ],
  };
}

async function checkEntry(policy, one) {
  const leaf = unb64(one.leaf);
  const proof = await verifyProof(policy, leaf, one.receipt);
  if (proof.index !== one.index) throw new Error(`the receipt of entry ${one.index} is of another entry`);
  const value = JSON.parse(fromUtf8(leaf));
  const bytes = value.entry ? unb64(value.entry) : unb64(one.entry);
  const entry = parseEntryBytes(bytes);
  if (value.commitment && !equal(await commitment(unb64(one.salt), entry), unhex(value.commitment))) {
    throw new Error(`entry ${one.index} does not open the commitment in its leaf`);
  }
  for (const each of entry.signatures) {
    if (each.kind === "ed25519" && !verifyEd25519(each.publicKey, pae(entry.type, entry.payloadBytes), each.parts[0])) {
      throw new Error(`a signature of entry ${one.index} is wrong`);
    }
  }
  return { ...entry, index: one.index, size: proof.checkpoint.size };
}

// The answer's own bytes: numbers must not be written again, or the commitment would not open.
export function answerText(text) {
  const end = text.lastIndexOf(',"code_digest":');
  const start = text.indexOf('"answer":', text.lastIndexOf('"result":{"access":'));
  if (start < 0 || end < start) throw new Error("the result is not in its canonical form");
  return text.slice(start + 9, end);
}

export async function checkAnswer(document, answer, published) {
  const digest = await sha256(utf8(answer));
  const made = await hmac(unb64(document.opening.salt), concat(utf8("omic/result/v1"), digest));
  if (!equal(made, unhex(published.commitment))) throw new Error("the answer is not the one the ledger commits to");
}
