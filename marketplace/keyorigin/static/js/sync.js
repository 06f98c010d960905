// Two tabs or two devices of one person hold the same vault: what each changed is kept in both.
// Every document, key and way in has the count of the save that last changed it (content.revs); the
// higher count wins, also where it is a removal. So an older copy, whoever hands it out, changes nothing.

const ENDED = new Set(["withdrawn", "erased", "replaced"]);
const wayName = ({ kind, credential = "" }) => `way/${kind} ${credential}`;
const under = (folder, values) => Object.entries(values).map(([name, value]) => [`${folder}/${name}`, value]);

const flat = ({ wraps, content: { documents, keys } }) => new Map([
  ...wraps.map((one) => [wayName(one), one]), ...under("documents", documents), ...under("keys", keys),
]);

// Everything by name, as text: to see later what changed.
export const picture = (vault) => new Map(Array.from(flat(vault), ([name, value]) => [name, JSON.stringify(value)]));

export const differ = (one, other) => [...one.keys(), ...other.keys()].some((name) => one.get(name) !== other.get(name));

// Count what changed since `before`, a picture; -> the picture now.
export function stamp(vault, before) {
  const now = picture(vault);
  const changed = [...now.keys(), ...before.keys()].filter((name) => now.get(name) !== before.get(name));
  if (!changed.length) return now;
  const { content } = vault;
  content.rev = (content.rev ?? 0) + 1;
  content.revs = { ...content.revs, ...Object.fromEntries(changed.map((name) => [name, content.rev])) };
  return now;
}

// Take what is newer in `theirs` into `mine`; -> whether anything was taken.
export function takeNewer(mine, theirs) {
  const [ours, others] = [flat(mine), flat(theirs)];
  const [revs, newer] = [(mine.content.revs ??= {}), theirs.content.revs ?? {}];
  let taken = false;
  for (const name of new Set([...ours.keys(), ...others.keys()])) {
    const [a, b] = [ours.get(name), others.get(name)];
    const value = chosen(name, [a, revs[name] ?? 0], [b, newer[name] ?? 0]);
    revs[name] = Math.max(revs[name] ?? 0, newer[name] ?? 0);
    if (JSON.stringify(value) === JSON.stringify(a)) continue;
    put(mine, name, value);
    taken = true;
  }
  mine.content.rev = Math.max(mine.content.rev ?? 0, theirs.content.rev ?? 0);
  return taken;
}

// What was never counted (the omic command counts nothing) is never taken for removed. An end stays an
// end, however it was counted, and a consent is as the later ledger entry about it left it.
function chosen(name, [a, mine], [b, theirs]) {
  if (a && b && reach(a) !== reach(b)) return reach(a) > reach(b) ? a : b;
  if (mine === 0 && theirs === 0) return a ?? b;
  // Counted alike on two devices: either will do, but both must take the same.
  const later = theirs === mine ? JSON.stringify(b) > JSON.stringify(a) : theirs > mine;
  const [value, other] = later ? [b, a] : [a, b];
  if (value === undefined || other === undefined) return value;
  if (name === "documents/passkeys.json") return { ...value, keys: joined(value.keys, other.keys) };
  if (name === "documents/ledger.json") return other.size > value.size ? other : value;
  return ended(other) && !ended(value) ? other : value;
}

const reach = ({ grant, index = 0, stop }) => (grant ? Math.max(index, stop ?? 0) : 0);
const ended = (document) => ENDED.has(document.state) || document.erased === true;

function joined(keys, more) {
  const all = new Map([...keys, ...more].map((one) => [one.credential, one]));
  return [...all.keys()].sort().map((credential) => all.get(credential));
}

function put(vault, name, value) {
  const [folder, rest] = [name.slice(0, name.indexOf("/")), name.slice(name.indexOf("/") + 1)];
  if (folder === "way") {
    vault.wraps = [...vault.wraps.filter((one) => wayName(one) !== name), ...(value ? [value] : [])];
  } else if (value === undefined) delete vault.content[folder][rest];
  else vault.content[folder][rest] = value;
}
