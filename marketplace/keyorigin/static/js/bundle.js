// Check a bundle offline, under a trust file: every entry's place in the log and its signatures, that
// order, payment, opening and answer belong together and were signed by whom they must be, and that
// the answer is the one committed to. As compute/bundle_public.py, but for what attesters said of
// people and for an auditor's openings: `omic audit result` checks those too.

import { b64, concat, equal, fromUtf8, hex, hmac, sha256, unb64, unhex, utf8 } from "./bytes.js";
import { canonical } from "./canonical.js";
import { commitment, fingerprint, parseEntryBytes } from "./entry.js";
import { parsePolicy, verifyProof } from "./note.js";
import { verifySignatures } from "./signatures.js";

// text: the bundle's JSON exactly as it was decrypted. -> {bundle, entries, published (the entry that
// commits to the answer), lines of [what, detail]}, or throws, naming what is wrong.
export async function checkBundle(trust, text) {
  const bundle = JSON.parse(text);
  if (bundle.v !== 1 || !Array.isArray(bundle.entries)) throw new Error("this is not a bundle of ours");
  const policy = await parsePolicy(trust.witness_policy);
  const entries = [];
  for (const one of bundle.entries) entries.push(await checkEntry(trust, policy, one));
  const story = tell(bundle, entries);
  const lines = [["Entries proved to be in the log", String(entries.length)]];
  lines.push(["The order was signed", await signedByBuyer(story, trust)]);
  lines.push(["It was paid before anything was opened", paid(story, trust)]);
  lines.push(["The use was written down before anything was opened", opened(story, trust)]);
  await sameQuestion(story);
  await checkResult(bundle.result, committedText(text), story.published.payload);
  lines.push(["This very answer was committed to", `entry ${story.published.index}`]);
  return { bundle, entries, published: story.published, lines };
}

// One entry as bundles carry it. Throws, naming its index and what is wrong.
export async function checkEntry(trust, policy, one) {
  try {
    const leaf = unb64(one.leaf);
    const proof = await verifyProof(policy, leaf, one.receipt);
    if (proof.index !== one.index) throw new Error("its receipt is of another entry");
    const value = JSON.parse(fromUtf8(leaf));
    if (!value.entry && !one.entry) return { index: one.index, type: value.type, time: value.time, proof };
    const entry = await openedEntry(value, one);
    if (entry.type !== value.type || value.type !== one.type) throw new Error("leaf and entry are of different types");
    await verifySignatures(entry, trust.passkeys);
    return { ...entry, index: one.index, time: value.time, proof };
  } catch (error) {
    throw new Error(`entry ${one.index}: ${error.message}`);
  }
}

async function openedEntry(leaf, one) {
  const entry = parseEntryBytes(unb64(leaf.entry ?? one.entry));
  if (leaf.commitment && !equal(await commitment(unb64(one.salt), entry), unhex(leaf.commitment))) {
    throw new Error("it does not open the commitment in its leaf");
  }
  return entry;
}

function tell(bundle, entries) {
  const mine = entries.filter(({ payload }) => payload?.order === bundle.order);
  const one = (type, more = () => true) => {
    const found = mine.filter((entry) => entry.type === type && more(entry));
    if (found.length !== 1) throw new Error(`the bundle must hold one ${type} of this order, and holds ${found.length}`);
    return found[0];
  };
  const same = ({ payload }) => payload.access === bundle.access;
  return {
    entries, document: bundle.result, placed: one("order.placed"),
    access: one("access.recorded", same), published: one("result.published", same),
    payments: mine.filter(({ type }) => type.startsWith("payment.")),
  };
}

function bySignerOf(service, trust, entry) {
  const pinned = trust.pins[service] ?? [];
  if (!pinned.includes(b64(entry.signatures[0].publicKey))) throw new Error(`entry ${entry.index} is not signed by the ${service} service`);
}

// The researcher's keys: enrolled under a pinned attester's eyes, and those added since.
async function signedByBuyer({ entries, placed }, trust) {
  const party = placed.payload.researcher;
  const keys = new Set();
  for (const { type, payload, signatures } of [...entries].sort((a, b) => a.index - b.index)) {
    if (payload?.party !== party) continue;
    const actor = await fingerprint(signatures[0].publicKey);
    if (type === "party.registered") {
      const own = await signing(payload.keys);
      const vouched = signatures.slice(1).some((one) => trust.pins.attesters?.person_verified?.includes(b64(one.publicKey)));
      if (payload.role === "researcher" && own.includes(actor) && vouched) own.forEach((key) => keys.add(key));
    } else if (["party.key_added", "party.key_rotated"].includes(type) && keys.has(actor)) {
      for (const key of await signing([payload.key])) keys.add(key);
    }
  }
  if (!keys.has(await fingerprint(placed.signatures[0].publicKey))) throw new Error("the order is not signed by a key of its researcher");
  return `entry ${placed.index}`;
}

const signing = (keys) => Promise.all(keys.filter(({ use }) => use === "sign").map((key) => fingerprint(unb64(key.public_key))));

function paid({ placed, access, payments }, trust) {
  const { amount, currency } = placed.payload.price;
  let total = 0;
  for (const one of payments) {
    bySignerOf("marketplace", trust, one);
    if (one.type === "payment.disputed") throw new Error(`the payment is disputed, entry ${one.index}`);
    if (one.payload.currency !== currency) throw new Error(`entry ${one.index} is in another currency than the price`);
    if (one.index < access.index) total += one.payload.amount * (one.type === "payment.refunded" ? -1 : 1);
  }
  if (total < amount) throw new Error(`${total} was paid before the data was opened, the price is ${amount}`);
  return payments.length ? payments.map(({ index }) => `entry ${index}`).join(", ") : `nothing was to be paid`;
}

function opened({ placed, access, published }, trust) {
  [access, published].forEach((one) => bySignerOf("compute", trust, one));
  const judged = access.payload.judged_size;
  if (!(placed.index < judged && judged <= access.index && access.index < published.index)) throw new Error("the entries stand in the wrong order");
  return `entry ${access.index}: ${access.payload.opened} people's data`;
}

async function sameQuestion({ placed, access, published, document }) {
  const order = placed.payload;
  const same = (one, other) => equal(canonical(one), canonical(other));
  if (hex(await sha256(canonical(order.query))) !== order.query_digest) throw new Error("the order's question is not the one its digest names");
  if (!same(document.query, order.query)) throw new Error("the answer is of another question than the order's");
  for (const name of ["query_digest", "code_digest"]) {
    if (order[name] !== access.payload[name] || order[name] !== document[name]) throw new Error("order, opening and answer are not of one question and one program");
  }
  const again = { ...order.release, rho: "0" };
  const recorded = access.payload.release;
  const allowed = same(recorded, order.release) || (order.release.mode === "private" && same(recorded, again));
  if (!allowed || !same(document.release, order.release)) throw new Error("order, opening and answer differ in how the answer was to be released");
  if (document.order !== published.payload.order || document.access !== published.payload.access) throw new Error("the answer is of another order");
}

// What the result says, byte for byte as it was committed to: all but its opening. Numbers must not be
// written again, or the commitment would not open; and nothing may stand beside what was committed to.
export function committedText(text) {
  const document = JSON.parse(text).result;
  const { opening, ...said } = document;
  const start = text.lastIndexOf('"result":{"access":') + 9;
  const whole = text.slice(start, text.lastIndexOf(',"v":'));
  const parts = whole.split(`"opening":{"result_sha256":"${opening?.result_sha256}","salt":"${opening?.salt}"},`);
  if (start < 9 || parts.length !== 2) throw new Error("the result is not in its canonical form");
  const committed = parts.join("");
  if (!sameValue(JSON.parse(committed), said)) throw new Error("the result is not in its canonical form");
  return committed;
}

// Two parsed JSON values that say the same.
export const sameValue = (one, other) => JSON.stringify(ordered(one)) === JSON.stringify(ordered(other));

function ordered(value) {
  if (Array.isArray(value)) return value.map(ordered);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, ordered(value[name])]));
}

async function checkResult(document, committed, published) {
  const digest = await sha256(utf8(committed));
  if (document.opening.result_sha256 !== hex(digest)) throw new Error("the answer is not the one its proof names");
  const made = await hmac(unb64(document.opening.salt), concat(utf8("omic/result/v2"), digest));
  if (!equal(made, unhex(published.commitment))) throw new Error("the answer is not the one the ledger commits to");
}
