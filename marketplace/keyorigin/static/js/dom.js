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

export const alert = (text) => h("p.alert", { role: "alert" }, text);

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
      trouble.textContent = plainError(error);
      trouble.hidden = false;
    } finally {
      button.disabled = false;
      button.textContent = label;
    }
  });
  return h("div.act", {}, button, trouble);
}

export function plainError(error) {
  if (error?.name === "NotAllowedError") return "The passkey was not used: the prompt was closed or timed out. Nothing was changed.";
  if (error?.name === "InvalidStateError") return "This device already has that passkey.";
  if (error?.name === "AbortError") return "It was stopped. Nothing was changed.";
  return String(error?.message ?? error);
}

export function save(name, type, data) {
  const link = h("a", { href: URL.createObjectURL(new Blob([data], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
