// Which uses on the ledger touched this person's data: found here, asking nobody. Each access names the
// root of a tree of tags; only who holds a consent's activity key can tell its tag from any other.
// The same rules as ledger/access_tree.py and marketplace/client/activity.py.

import { concat, equal, hex, hmac, sha256, unb64, unhex, utf8 } from "./bytes.js";
import { config } from "./config.js";
import { ask } from "./http.js";
import { openedLeaf, provenLeaves, publicEntry } from "./log.js";
import { leafHash, treeRoot } from "./merkle.js";

const [CONTEXT, TAG, BUNDLE] = ["omic/access/v1", 64, 256];
const KEPT = "uses.json";

// Read the ledger from this person's first consent (or where it was read to) up to its newest entry.
// told(done, all) as it goes. -> {uses: oldest first, read: entries read in all}
export async function findUses(home, told = () => {}) {
  const grants = home.list("grants").filter((one) => Number.isSafeInteger(one.index));
  if (!grants.length) return { uses: [], read: 0 };
  const known = before(home, grants);
  const [uses, projects] = [[...known.uses], new Map()];
  let [at, size] = [Math.max(known.from, known.to), Infinity];
  while (at < size) {
    const bundle = Math.floor(at / BUNDLE);
    const found = await provenLeaves(bundle);
    size = found.size;
    for (let i = at - bundle * BUNDLE; i < found.leaves.length; i += 1) {
      const opened = openedLeaf(found.leaves[i], bundle * BUNDLE + i);
      if (opened?.entry.type === "order.placed") projects.set(opened.entry.payload.order, opened.entry.payload.purpose.project);
      const use = await touched(grants, opened, bundle * BUNDLE + i);
      if (use) uses.push({ ...use, project: projects.get(use.order) ?? "" });
    }
    at = bundle * BUNDLE + found.leaves.length;
    told(at - known.from, size - known.from);
  }
  home.documents[KEPT] = { grants: grants.map((one) => one.grant), from: known.from, to: at, uses };
  await home.save({ backup: false });
  return { uses, read: at - known.from };
}

// What was found so far. Read anew from the first consent on where one has come here since that was
// given before: it may have been used before these keys knew of it.
function before(home, grants) {
  const kept = home.documents[KEPT];
  const late = ({ grant, index }) => !kept.grants.includes(grant) && index < kept.to;
  if (kept && !grants.some(late)) return kept;
  const given = home.list("entries").filter((one) => one.type === "consent.granted");
  return { uses: [], from: Math.min(...[...given, ...grants].map((one) => one.index)), to: 0 };
}

// One access, and this person's use in it: null where none of their consents was opened.
export async function useAt(home, index) {
  const opened = await publicEntry(index);
  if (opened.entry.type !== "access.recorded") throw new Error(`entry ${index} records no use of data`);
  return { ...opened, use: await touched(home.list("grants"), opened, index) };
}

// -> {index, time, order, purpose, files, datasets} where an opened leaf is a use of ours, else null.
async function touched(grants, opened, index) {
  if (opened?.entry.type !== "access.recorded") return null;
  const { entry: { payload }, time } = opened;
  const tags = await tagsOf(payload.cohort_root);
  const mine = [];
  for (const one of grants) if (tags.has(await tagFor(unb64(one.activity_key), payload))) mine.push(one.dataset);
  if (!mine.length) return null;
  return { index, time, order: payload.order, purpose: payload.purpose, files: tags.size, datasets: mine };
}

// Before compute opened a consent for the first time it knows only what the consent commits to.
async function tagFor(key, { access, purpose }) {
  const by = purpose === "ingest" ? await sha256(key) : key;
  return hex(await hmac(by, concat(utf8(CONTEXT), unhex(access))));
}

async function tagsOf(root) {
  const { leaves } = await ask(`${(await config()).trust.ledger_url}/access-trees/${root}`);
  const rising = leaves.every((tag, i) => tag.length === TAG && (i === 0 || leaves[i - 1] < tag));
  const hashes = await Promise.all(leaves.map((tag) => leafHash(unhex(tag))));
  if (!rising || !equal(await treeRoot(hashes), unhex(root))) throw new Error(`the ledger does not show who was in use ${root.slice(0, 8)} as it was signed; stop here`);
  return new Set(leaves);
}
