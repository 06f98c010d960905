// A little DOM: elements made, never markup parsed.

export function h(tag, given = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === false || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const svg = (tag, given = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
  element.append(...children.flat());
  return element;
};

export function show(...children) {
  const there = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  document.getElementById("main").replaceChildren(...there);
}

export const facts = (pairs) => h("dl.fields", {}, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

export const list = (items, tag = "ul") => h(tag, {}, items.map((item) => h("li", {}, item)));

export const alert = (text) => h("p.alert", { role: "alert" }, sentence(text));

// Errors begin small and end without a stop, so that they can stand inside others; alone they are a sentence.
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?:]$/.test(begun) ? begun : `${begun}.`;
}

// Go on to another view, also where the address names it already.
export function go(hash) {
  if (window.location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else window.location.hash = hash;
}

// A passphrase that may be looked at: nobody sees a typing error in dots.
export function secretField(label, { id, complete, more = "", least = null }) {
  const input = h("input", { id, type: "password", autocomplete: complete, spellcheck: "false", autocapitalize: "none", minlength: least });
  const seen = h("input", { type: "checkbox", id: `${id}-seen` });
  seen.addEventListener("change", () => { input.type = seen.checked ? "text" : "password"; });
  const element = h("div", {}, h("p.field", {}, h("label", { for: id }, label, more ? h("small", {}, ` ${more}`) : null), input),
    h("p.check.small", {}, seen, h("label", { for: seen.id }, "Show what I type")));
  return { element, input };
}

// A button that cannot be pressed twice, and says what went wrong beside itself.
export function action(label, act, { quiet = false, busy = "One moment…" } = {}) {
  const trouble = h("p.alert", { role: "alert", hidden: true });
  const button = h(quiet ? "button.button.quiet" : "button.button", { type: "button" }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = busy;
    trouble.hidden = true;
    try {
      await act();
    } catch (error) {
      trouble.textContent = sentence(plainError(error));
      trouble.hidden = false;
    } finally {
      button.disabled = false;
      button.textContent = label;
    }
  });
  return h("div.act", {}, button, trouble);
}

export function plainError(error) {
  if (error?.name === "NotAllowedError") return "The passkey was not used: the prompt was closed or timed out. Nothing was signed. Press the button again when you are ready.";
  if (error?.name === "InvalidStateError") return "This device already has a passkey of yours. Take another device, or a security key you plug in, so that losing this one locks nobody out.";
  if (error?.name === "AbortError") return "It was stopped. Nothing was changed.";
  return String(error?.message ?? error);
}

export function save(name, type, data) {
  const link = h("a", { href: URL.createObjectURL(new Blob([data], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
