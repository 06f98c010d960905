// The health passport: give one dataset, or a part of it, to one professional, see what is given, stop it, fetch it.

import { config } from "../config.js";
import { parseRegion } from "../cut.js";
import { action, alert, facts, h, plainError, save, show } from "../dom.js";
import * as homes from "../home.js";
import * as passports from "../passport.js";
import { toMarket } from "./keys.js";
import { gate } from "./unlock.js";

const MONTH = 30 * 86_400_000;
const MADE_BY = "crypt4gh-keygen --sk me.sec --pk me.pub";
const day = (ms) => new Date(ms).toISOString().slice(0, 10);
const lastDay = (until) => (until === null ? "until you stop it" : `until ${day(until - 1)}`);
const named = (one) => one.reader || `the key ending in ${ending(one.recipient_key)}`;
const ending = (text) => text.replace(/=+$/, "").slice(-8);
const receipt = (place) => ["Your receipt", `ledger entry ${place.index}, cosigned by the witnesses, checked here`];

function page(eyebrow, title, lead, ...more) {
  show(h("div.narrow", {}, h("p.eyebrow", {}, eyebrow), h("h1", {}, title), lead ? h("p.lead", {}, lead) : null, ...more));
}

// Without a dataset in the address: choose one, and see what is shared already.
export async function passport({ home, rest: [dataset], trouble = null }) {
  const mine = home.list("datasets").filter((one) => !one.erased && !one.replaced_by && one.header);
  if (dataset && !mine.some((one) => one.dataset === dataset)) throw new Error("the keys in this browser do not hold that dataset. Open this page where you shared it, or bring those keys here.");
  const given = await passports.shares(home);
  page("Health passport", "Share with a professional", "One dataset, for one doctor, counsellor or laboratory, until a day you choose.",
    trouble && alert(trouble), mine.length ? form(home, mine, dataset) : h("p.note", {}, "There is no data of yours here yet. ", h("a", { href: "#/share" }, "Add a file first"), "."),
    given.length ? h("section", { "aria-labelledby": "given" }, h("h2", { id: "given" }, "What you share"), h("ul.consents", {}, given.map((one) => card(home, one)))) : null);
}

function card(home, one) {
  if (one.waiting) return unsent(home, one);
  const open = one.stopped === null && (one.valid_until === null || one.valid_until > Date.now()) && ["open", undefined].includes(one.status);
  const said = open ? lastDay(one.valid_until) : one.stopped === null ? one.status ?? "its time is over" : "stopped by you";
  const name = home.documents[`datasets/${one.dataset}.json`]?.name ?? "a dataset";
  return h("li.card", {}, h("div.head", {}, h("h3", {}, named(one)), h(`span.state.${open ? "good" : "calm"}`, {}, open ? "Open" : "Ended")),
    h("p", {}, one.region ? `A part of ${name} (${one.region}), ${said}. ` : `All of ${name}, ${said}. `, fetches(one.fetches)),
    open ? h("div.actions", {}, h("a.button.quiet.small", { href: `#/unshare/${one.share}/${one.dataset}` }, "Stop sharing", h("span.sr", {}, ` with ${named(one)}`))) : null,
    open ? h("details", {}, h("summary", {}, "The link to send"), linkBox(one)) : null);
}

// The ledger has it, the market did not take it: nobody can fetch it yet.
function unsent(home, one) {
  const again = async () => {
    await passports.send(home, one);
    given(home, one);
  };
  return h("li.card", {}, h("div.head", {}, h("h3", {}, named(one)), h("span.state.wait", {}, "Not sent yet")),
    h("p", {}, "It stands on the ledger, but the market did not take it, so nobody can fetch it."),
    h("div.actions", {}, action("Send it now", again), h("a.button.quiet.small", { href: `#/unshare/${one.share}/${one.dataset}` }, "Stop sharing", h("span.sr", {}, ` with ${named(one)}`))));
}

function fetches(count) {
  if (count === undefined) return null;
  if (count === 0) return "Not fetched yet.";
  return count === 1 ? "Fetched once." : `Fetched ${count} times.`;
}

function linkBox(one) {
  const address = passports.pageOf(one);
  const copied = h("span", { role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(address);
    copied.textContent = "Copied";
  };
  return h("div", {}, h("p.code-sheet.small", {}, address), h("div.actions", {}, action("Copy the link", copy, { quiet: true }), copied));
}

function form(home, mine, chosen) {
  const which = h("select", { id: "which" }, mine.map((one) => h("option", { value: one.dataset, selected: one.dataset === chosen }, one.name)));
  const reader = h("input", { id: "reader", type: "text", maxlength: "80", autocomplete: "off" });
  const until = h("input", { id: "until", type: "date", required: true, min: day(Date.now()), value: day(Date.now() + MONTH) });
  const key = keyField();
  const part = partField(() => mine.find((one) => one.dataset === which.value));
  which.addEventListener("change", part.look);
  const run = async () => {
    const record = mine.find((one) => one.dataset === which.value);
    const wanted = { reader: reader.value.trim(), key: key.read(), until: passports.endOf(until.value), region: part.read() };
    const made = await passports.give(home, record, wanted);
    try {
      await passports.send(home, made);
    } catch (error) {
      return passport({ home, rest: [], trouble: plainError(error) });
    }
    return given(home, made);
  };
  const field = (label, control, more) => h("p.field", {}, h("label", { for: control.id }, label, more ? h("small", {}, ` ${more}`) : null), control);
  return h("section", { "aria-label": "A new share" },
    field("Which data", which), field("Who is it for?", reader, "only you see this"), ...key.parts, field("Last day on which they may fetch it", until), part.element,
    h("div.note", {}, h("h2", {}, "Before you share"), h("p", {}, "Whoever you share with can keep what they fetch, and read it for good. Stopping, or the last day, ends further downloads only.")),
    action("Share with my passkey", run, { busy: "Follow your device…" }));
}

// Only a stretch of a genome: cut and encrypted anew on this device.
function partField(chosen) {
  const input = h("input", { id: "part", type: "text", maxlength: "60", autocomplete: "off", spellcheck: false, placeholder: "22:10000-20000" });
  const element = h("details", {}, h("summary", {}, "Share only a part of it"),
    h("p.field", {}, h("label", { for: "part" }, "Only this stretch", h("small", {}, " chromosome:first-last; empty for all of it")), input),
    h("p.muted", {}, "It is fetched, cut and encrypted anew here, on your device. They get that stretch and nothing else of the file."));
  const look = () => { element.hidden = chosen().modality !== "genotypes"; };
  look();
  return { element, look, read: () => (element.hidden || !input.value.trim() ? null : parseRegion(input.value)) };
}

// Their public key, from a file or pasted; what was taken is said at once, to be compared.
function keyField() {
  const file = h("input", { id: "key-file", type: "file", accept: ".pub,.pem,.txt" });
  const text = h("textarea", { id: "key", rows: "4", spellcheck: false, autocomplete: "off" });
  const said = h("div", { "aria-live": "polite" });
  const look = () => {
    if (!text.value.trim()) return said.replaceChildren();
    try {
      const taken = btoa(String.fromCharCode(...passports.publicKeyIn(text.value)));
      return said.replaceChildren(h("p.muted", {}, "Taken. Ask them to read you the last letters of their key: ", h("code", {}, ending(taken)), "."));
    } catch (error) {
      return said.replaceChildren(alert(plainError(error)));
    }
  };
  text.addEventListener("input", look);
  file.addEventListener("change", async () => {
    text.value = file.files[0] && file.files[0].size < 10_000 ? await file.files[0].text() : "(this file is no key)";
    look();
  });
  const read = () => {
    if (!text.value.trim()) throw new Error("give their public key: it decides who can open the file");
    return passports.publicKeyIn(text.value);
  };
  const parts = [
    h("p.field", {}, h("label", { for: "key-file" }, "Their public key, as a file"), file),
    h("p.field", {}, h("label", { for: "key" }, "or pasted"), text), said,
    h("details", {}, h("summary", {}, "What do I ask them for?"), h("p", {}, "Their Crypt4GH public key, a small text file. Whoever has none makes one with the free crypt4gh tool:"), h("pre.json", { tabindex: "0" }, MADE_BY), h("p", {}, "They send you me.pub and keep me.sec to themselves.")),
  ];
  return { parts, read };
}

function given(home, made) {
  page("Done", `Shared with ${named(made)}`, "Send them this link. Only their key opens the file, but whoever has the link can fetch it, so keep it between you.",
    linkBox(made), facts([...(made.region ? [["Only", made.region]] : []), ["For", `the key ending in ${ending(made.recipient_key)}`], ["Until", `${day(made.valid_until - 1)}, the end of that day (UTC)`], receipt(made)]),
    h("div.actions", {}, toMarket(home), h("a.button.quiet", { href: `#/unshare/${made.share}/${made.dataset}` }, "Stop sharing")));
  document.getElementById("main").focus();
}

// Two clicks from the page of my data: that link, and this button, which unlocks and stops in one step.
export async function unshare({ home, rest: [share, dataset] }) {
  const lead = "Nobody can fetch it by that link from now on. What was fetched before stays with whoever fetched it.";
  const keep = h("a.button.quiet", { href: "#/passport" }, "Keep it");
  if (home) return page("Health passport", "Stop sharing?", lead, h("div.actions", {}, action("Stop sharing now", () => ended(home, share, dataset), { busy: "Stopping…" }), keep));
  const known = await homes.known();
  if (!known) return page("Health passport", "Your keys are not in this browser", "Stop it on the device where you gave it, or bring your keys here with a passkey or your printed code.", h("div.actions", {}, h("a.button", { href: "#/recover" }, "Bring my keys here")));
  if (!homes.byPasskey(known)) return gate({ next: window.location.hash, known });
  const act = async () => ended(await homes.unlockWithPasskey(), share, dataset);
  return page("Health passport", "Stop sharing?", lead, h("div.actions", {}, action("Stop with my passkey", act, { busy: "Follow your device…" }), h("a.button.quiet", { href: "#/unlock" }, "Another way to unlock")));
}

async function ended(home, share, dataset) {
  if (!home.keys[`datasets/${dataset}`]) throw new Error("the keys in this browser do not hold the key of that dataset; stop it where you gave it");
  const place = await passports.stop(home, share, dataset);
  page("Done", "The share is stopped", null, facts([receipt(place)]), h("div.actions", {}, toMarket(home)));
  document.getElementById("main").focus();
}

// For the professional, who has no account here and needs none.
export async function fetchShare({ rest: [share, token] }) {
  if (!/^[0-9a-f]{32}$/.test(share ?? "") || !token) throw new Error("this is not the whole link: ask for it again, and open all of it");
  const name = `shared-${share.slice(0, 8)}.c4gh`;
  const { trust } = await config();
  const take = async () => {
    save(name, "application/octet-stream", await passports.fetched(share, token));
    taken.hidden = false;
  };
  const taken = h("p", { role: "status", hidden: true }, `Saved as ${name}. Nobody but the holder of your private key can read it.`);
  page("Shared with you", "Somebody shares their health data with you", "It was encrypted to your key on their own device. They can stop further downloads at any time, and they see each one.",
    action("Download the encrypted file", take, { busy: "Downloading…" }), taken,
    h("h2", {}, "Open it"), h("p", {}, "With the ordinary crypt4gh tool and the private key that belongs to the public key you sent them:"),
    h("pre.json", { tabindex: "0" }, `crypt4gh decrypt --sk me.sec < ${name} > shared-file`),
    h("details", {}, h("summary", {}, "Fetch it without a browser"), h("pre.json", { tabindex: "0" }, `omic passport fetch '${trust.marketplace_url}/api/v1/passport/${share}#${token}' --out ${name}`)));
}
