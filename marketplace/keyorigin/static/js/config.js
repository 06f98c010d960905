// What this bundle was built with: the trust file and the addresses it may talk to. Its digest, like
// that of every other file here, is part of the release the ledger names.

let loaded = null;

export async function config() {
  loaded ??= await (await fetch("/config.json")).json();
  return loaded;
}

export async function words() {
  return (words.loaded ??= await (await fetch("/words.json")).json());
}
