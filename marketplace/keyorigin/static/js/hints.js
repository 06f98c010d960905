// Words of the trade, explained where they stand: the first of each in a view tells its meaning
// when it is pointed at, focused or pressed; Escape takes the meaning away.
// The meanings are the glossary's (words.json), in the language spoken.

import { config, words } from "./config.js";
import { h } from "./dom.js";

const WITHIN = "p, li, dd, dt, td, figcaption";
const NOT_WITHIN = ".term, .meaning, select, textarea, a, button, label, summary, code, pre, [role=alert], .progress, .code-sheet, .state, h1, h2, h3, [hidden], details:not([open]) > :not(summary)";
const GAP = 8;

const tip = h("div.meaning", { id: "tip", role: "tooltip", hidden: true });
let shown = null;

// Explain what stands in `root` now and whatever comes to stand there.
export async function explain(root) {
  const { glossary } = await words();
  // Not within a file's name: the vcf of me.vcf is no word.
  const pattern = new RegExp(`(?<![\\w.])(${Object.keys(glossary).sort((a, b) => b.length - a.length).map(quoted).join("|")})(e?s)?\\b`, "gi");
  const look = () => mark(root, glossary, pattern);
  new MutationObserver(look).observe(root, { childList: true, subtree: true });
  root.addEventListener("toggle", look, true);
  tip.addEventListener("pointerleave", hide);
  window.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  for (const name of ["scroll", "resize"]) window.addEventListener(name, place, { passive: true });
  window.addEventListener("hashchange", hide);
  look();
}

const quoted = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

function mark(root, glossary, pattern) {
  if (shown && !shown.isConnected) hide();
  const there = new Set(Array.from(root.querySelectorAll(".term"), (one) => one.dataset.word));
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walk.nextNode()) {
    const { parentElement: around } = walk.currentNode;
    if (around.closest(WITHIN) && !around.closest(NOT_WITHIN)) texts.push(walk.currentNode);
  }
  for (const text of texts) explainIn(text, glossary, pattern, there);
}

function explainIn(text, glossary, pattern, there) {
  for (const found of text.data.matchAll(pattern)) {
    const word = found[1].toLowerCase();
    if (there.has(word)) continue;
    there.add(word);
    const explained = term(found[0], word, glossary[word]);
    const rest = text.splitText(found.index);
    rest.splitText(found[0].length);
    rest.replaceWith(explained);
    return explainIn(text.nextSibling.nextSibling, glossary, pattern, there);
  }
  return null;
}

function term(said, word, meaning) {
  // No <button>: a line of text would break before and after one as around a picture.
  const one = h("span.term", { role: "button", tabindex: "0", "data-word": word, "aria-describedby": "tip" }, said);
  const reveal = () => show(one, meaning);
  one.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // a blank would scroll
    reveal();
  });
  for (const name of ["pointerenter", "focus", "click"]) one.addEventListener(name, reveal);
  one.addEventListener("blur", hide);
  // Whoever moves on to the meaning itself may read it there.
  one.addEventListener("pointerleave", ({ relatedTarget }) => { if (relatedTarget !== tip && document.activeElement !== one) hide(); });
  return one;
}

async function show(one, { text, slug }) {
  const { trust } = await config();
  shown = one;
  tip.replaceChildren(h("p", {}, text), h("p", {}, h("a", { href: `${trust.marketplace_url}/glossary#${slug}`, target: "_blank", rel: "noopener", tabindex: "-1" }, "In the glossary")));
  document.getElementById("main").append(tip); // a view that is drawn anew takes it away
  tip.hidden = false;
  place();
}

// Below the word where there is room, else above it.
function place() {
  if (!shown) return;
  const [word, own] = [shown.getBoundingClientRect(), tip.getBoundingClientRect()];
  const below = word.bottom + GAP / 2 + own.height < window.innerHeight;
  const left = Math.max(GAP, Math.min(word.left, document.documentElement.clientWidth - own.width - GAP));
  tip.style.setProperty("left", `${left}px`);
  tip.style.setProperty("top", `${below ? word.bottom + 1 : Math.max(GAP, word.top - own.height - 1)}px`);
}

function hide() {
  shown = null;
  tip.hidden = true;
}
