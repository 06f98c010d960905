// The newest checkpoint this person's keys have met, kept in the vault with its note: a ledger that
// forgot or changed something since is noticed, loudly. The same rule as ledger/freshness.py.

import { equal, hex, unhex } from "./bytes.js";
import { config } from "./config.js";
import { checkpoint, consistency } from "./log.js";
import { verifyConsistency } from "./merkle.js";

const NAME = "ledger.json";
const CLOCKS_MAY_DIFFER_MS = 5000;
const checked = new WeakSet();

export class ChangedPast extends Error {}

// Once for each unlocking, before anything is signed. Throws ChangedPast; any other error says only
// that nothing could be compared now.
export async function checkIn(home) {
  if (checked.has(home)) return;
  const now = await checkpoint();
  requireFresh(now, (await config()).trust.max_checkpoint_age_ms);
  const before = home.documents[NAME];
  if (before) await requireGrowth(before, now, consistency);
  checked.add(home);
  if (before?.size === now.size) return;
  home.documents[NAME] = { origin: now.origin, size: now.size, root: hex(now.root), note: now.note };
  await home.save({ backup: false });
}

// proofOf(old, new) asks the log; whatever it answers is checked.
export async function requireGrowth(before, now, proofOf) {
  const changed = (what) => new ChangedPast(`your ledger changed its past: ${what}`);
  const root = unhex(before.root);
  if (now.size < before.size) throw changed(`it showed ${before.size} entries before and ${now.size} now`);
  if (now.size === before.size) {
    if (!equal(root, now.root)) throw changed(`two different trees of ${now.size} entries`);
    return;
  }
  if (before.size === 0) return;
  const path = await proofOf(before.size, now.size);
  try {
    await verifyConsistency(before.size, now.size, path, root, now.root);
  } catch (error) {
    throw changed(`the tree of ${before.size} entries seen before is no part of the one of ${now.size} (${error.message})`);
  }
}

function requireFresh({ time }, most, now = Date.now()) {
  const age = now - time * 1000;
  if (age > most) throw new Error(`the ledger has been silent for ${Math.floor(age / 1000)} s`);
  if (age < -CLOCKS_MAY_DIFFER_MS) throw new Error(`the witnesses' clocks are ${Math.floor(-age / 1000)} s ahead of this device's; correct its clock`);
}
