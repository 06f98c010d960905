// openEHR compositions in canonical JSON: the rules of compute/ingest/openehr.py.

import { curie, isKnownSystem, isTime, nodeCurie, numberOf, obj, objects, Record, Refusal, textOf } from "./record.js";

const ENTRIES = new Set(["OBSERVATION", "EVALUATION", "INSTRUCTION", "ACTION", "ADMIN_ENTRY"]);
const TYPES = new Set([
  ...ENTRIES, "SECTION", "HISTORY", "POINT_EVENT", "INTERVAL_EVENT", "ITEM_TREE", "ITEM_LIST", "ITEM_SINGLE",
  "ITEM_TABLE", "CLUSTER", "ELEMENT", "ACTIVITY", "ISM_TRANSITION", "GENERIC_ENTRY", "EVENT_CONTEXT",
]);
const INTO = ["items", "content", "data", "events", "state", "protocol", "description", "activities", "ism_transition"];
const REQUIRED = ["name", "archetype_node_id", "language", "territory", "category", "composer"];
const OTHER = new Set([
  "DV_TEXT", "DV_BOOLEAN", "DV_DATE", "DV_TIME", "DV_DATE_TIME", "DV_DURATION", "DV_IDENTIFIER", "DV_MULTIMEDIA",
  "DV_PARSABLE", "DV_URI", "DV_EHR_URI", "DV_INTERVAL",
]);

export const isOpenehr = (record) => record._type === "COMPOSITION";

const isStated = (value) => typeof value === "string" || (typeof value === "object" && value !== null && !Array.isArray(value));

export function readOpenehr(record) {
  const absent = REQUIRED.filter((name) => !isStated(record[name]));
  if (absent.length) throw new Refusal(`The composition lacks ${absent.join(", ")}, which its standard requires.`);
  obj(record.composer, "composer");
  const context = obj(record.context, "context");
  for (const one of objects(context.participations, "participations")) obj(one.performer, "performer");
  const found = new Record("openehr");
  const territory = textOf(obj(record.territory, "territory").code_string);
  found.region = /^[A-Z]{2}$/.test(territory) ? territory : null;
  const place = { archetype: "", code: null, label: "", time: hasTime(context.start_time) };
  for (const entry of objects(record.content, "content")) walk(entry, place, found);
  return found;
}

// place: where the walk stands, i.e. the archetype, the nearest code, whether an event says its time.
function walk(node, place, found) {
  const kind = textOf(node._type);
  if (!TYPES.has(kind)) throw new Refusal("An entry of the composition is of a type openEHR does not know.");
  if (ENTRIES.has(kind) && ![undefined, null, "PARTY_SELF"].includes(obj(node.subject, "subject")._type)) return found.skip("entry_of_somebody_else");
  const here = entered(node, place);
  if (kind === "ELEMENT") return element(node, here, found);
  for (const key of INTO) {
    const value = node[key];
    for (const child of objects(isStated(value) && typeof value !== "string" ? [value] : value, key)) {
      if ("_type" in child && !textOf(child._type).startsWith("DV_")) walk(child, here, found);
    }
  }
  return undefined;
}

function entered(node, place) {
  const archetype = textOf(node.archetype_node_id);
  const inside = archetype.startsWith("openEHR-EHR-") ? { ...place, archetype, code: null, label: "" } : place;
  const time = hasTime(node.time) || hasTime(node.origin) || inside.time;
  const coded = codeOf(obj(node.name, "name"));
  return coded === null ? { ...inside, time } : { ...inside, time, code: coded[0], label: coded[1] };
}

// [CURIE, label] of a coded text: its own code, else the first mapping that is kept.
function codeOf(value) {
  const mappings = objects(value.mappings, "mappings").map((one) => obj(one.target, "target"));
  for (const phrase of [obj(value.defining_code, "defining_code"), ...mappings]) {
    const known = curie(systemOf(phrase).split("(", 1)[0], textOf(phrase.code_string));
    if (known !== null) return [known, textOf(value.value)];
  }
  return null;
}

const systemOf = (phrase) => textOf(obj(phrase.terminology_id, "terminology_id").value);

function element(node, place, found) {
  const value = obj(node.value, "value");
  const kind = textOf(value._type);
  const code = place.code ?? nodeCurie(place.archetype, textOf(node.archetype_node_id));
  if (Object.hasOwn(NUMBERS, kind)) return code === null ? found.skip("number_without_code") : NUMBERS[kind](value, code, place.time, found);
  if (kind === "DV_CODED_TEXT") return codedText(value, found);
  return found.skip(OTHER.has(kind) ? `value_${kind}` : "value_other");
}

const NUMBERS = {
  DV_QUANTITY: (value, code, time, found) => (["", "="].includes(textOf(value.magnitude_status))
    ? found.measurement(code, numberOf(value.magnitude), textOf(value.units), time) : found.skip("value_beyond_range")),
  DV_COUNT: (value, code, time, found) => found.measurement(code, numberOf(value.magnitude), "1", time),
  DV_ORDINAL: (value, code, time, found) => found.measurement(code, numberOf(value.value), "1", time),
  DV_PROPORTION: (value, code, time, found) => {
    const [over, under] = [numberOf(value.numerator), numberOf(value.denominator)];
    return found.measurement(code, over === null || !under ? null : over / under, "1", time);
  },
};

function codedText(value, found) {
  const coded = codeOf(value);
  if (coded !== null) return found.term(...coded, false, null);
  return found.skip(isKnownSystem(systemOf(obj(value.defining_code, "defining_code"))) ? "code_malformed" : "unknown_terminology");
}

const hasTime = (value) => isStated(value) && isTime(textOf(value.value));
