// Canonical JSON (RFC 8785) of what a ledger payload may hold: no floats, no lone surrogates.
// The same values are refused as by ledger/envelope.py `canonical`.

import { utf8 } from "./bytes.js";

export const canonical = (value) => utf8(write(value, 0));

function write(value, depth) {
  if (depth > 100) throw new Error("nested too deeply");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return writeNumber(value);
  if (typeof value === "string") return writeText(value);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(",")}]`;
  if (typeof value === "object") return writeObject(value, depth);
  throw new Error(`a ledger payload holds JSON values only, not ${typeof value}`);
}

function writeNumber(value) {
  if (!Number.isSafeInteger(value)) throw new Error("a ledger payload holds integers up to 2^53 - 1");
  return Object.is(value, -0) ? "0" : String(value);
}

function writeText(value) {
  if (!value.isWellFormed()) throw new Error("a text holds half of a surrogate pair");
  return JSON.stringify(value);
}

// Keys in the order of their UTF-16 code units (RFC 8785 section 3.2.3), as sort() compares.
function writeObject(value, depth) {
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${writeText(name)}:${write(value[name], depth + 1)}`).join(",")}}`;
}
