// HL7 FHIR R4, a Bundle or one Condition, Observation or Patient, of one person: the rules of
// compute/ingest/fhir.py.

import { ageOf, curie, isKnownSystem, isTime, mended, numberOf, obj, objects, Record, Refusal, textOf, yearOf } from "./record.js";

const SEX = { female: "female", male: "male" };
const VOID = new Set(["entered-in-error", "cancelled"]);
const ALONE = new Set(["Condition", "Observation", "Patient"]);
const ANSWERS = ["SNOMED:", "HP:", "MONDO:", "CIEL:"];
const GAPS = new Set(["E", "U", "L"]);
const AGES = { a: "Y", mo: "M", wk: "W", d: "D" };

export const isFhir = (record) => typeof record.resourceType === "string";

export function readFhir(record) {
  const resources = resourcesOf(record);
  onePerson(resources);
  const found = new Record("fhir");
  const readers = { Patient: patient, Condition: condition, Observation: observation };
  for (const one of resources) {
    const kind = textOf(one.resourceType);
    if (Object.hasOwn(readers, kind)) readers[kind](one, found);
    else found.skip(/^[A-Za-z]{1,40}$/.test(kind) ? `resource_${kind}` : "resource_other");
  }
  return found;
}

function resourcesOf(record) {
  if (ALONE.has(record.resourceType)) return [record];
  if (record.resourceType !== "Bundle") throw new Refusal("This FHIR resource is no Bundle, Condition, Observation or Patient.");
  return objects(record.entry, "entry").map((one) => obj(one.resource, "entry.resource"));
}

function onePerson(resources) {
  const patients = resources.filter((one) => one.resourceType === "Patient");
  const of = (one) => textOf(obj(one.subject, "subject").reference);
  const subjects = new Set(resources.filter((one) => ["Condition", "Observation"].includes(one.resourceType)).map(of).filter(Boolean));
  const people = Math.max(patients.length, subjects.size);
  if (people > 1) throw new Refusal(`The file speaks of ${people} people. Each person is registered alone: split it first.`);
  const own = textOf(patients[0]?.id);
  if (own && [...subjects].some((subject) => subject.split(/[/:]/).at(-1) !== own)) throw new Refusal("An entry of the file is about somebody else than its patient, so it is unclear whose it is.");
}

function patient(given, found) {
  found.sex = SEX[textOf(given.gender)] ?? null;
  found.birthYear = yearOf(textOf(given.birthDate));
  const countries = new Set(objects(given.address, "address").map((one) => textOf(one.country).toUpperCase()).filter((one) => /^[A-Z]{2,3}$/.test(one)));
  found.region = countries.size === 1 ? [...countries][0] : null;
}

// The first coding of a kept terminology, CIEL where no other is: [CURIE, label], or null and counted.
function coded(concept, field, found) {
  const reasons = new Set();
  const kept = [];
  for (const one of objects(obj(concept, field).coding, `${field}.coding`)) {
    const [system, code] = [textOf(one.system), textOf(one.code)];
    const plain = curie(system, code);
    const known = plain === null ? mended(system, code) : [plain, ""];
    if (known !== null) kept.push([known[0], textOf(one.display), known[1]]);
    reasons.add(isKnownSystem(system) ? "code_malformed" : "unknown_terminology");
  }
  const best = kept.find(([known]) => !known.startsWith("CIEL:")) ?? kept[0];
  if (best === undefined) {
    found.skip([...reasons].sort()[0] ?? "uncoded");
    return null;
  }
  if (best[2]) found.mend(best[2]);
  return best.slice(0, 2);
}

function condition(item, found) {
  const status = new Set(objects(obj(item.verificationStatus, "verificationStatus").coding, "coding").map((one) => textOf(one.code)));
  if ([...status].some((one) => VOID.has(one))) return found.skip("entered_in_error");
  const known = coded(item.code, "Condition.code", found);
  return known === null ? undefined : found.term(...known, status.has("refuted"), onset(item));
}

function onset(item) {
  const year = yearOf(textOf(item.onsetDateTime));
  if (year !== null) return year;
  const age = obj(item.onsetAge, "onsetAge");
  const [value, unit] = [numberOf(age.value), AGES[textOf(age.code)]];
  return value === null || unit === undefined || !Number.isInteger(value) ? null : ageOf(`P${value}${unit}`);
}

function observation(item, found) {
  if (VOID.has(textOf(item.status))) return found.skip("entered_in_error");
  const period = obj(item.effectivePeriod, "effectivePeriod");
  const time = isTime(textOf(item.effectiveDateTime) || textOf(item.effectiveInstant) || textOf(period.start));
  const components = objects(item.component, "component");
  if (!components.length || Object.keys(item).some((key) => key.startsWith("value"))) value(item, time, found);
  for (const one of components) value(one, time, found);
  return undefined;
}

function value(item, time, found) {
  const known = coded(item.code, "Observation.code", found);
  if (known === null) return undefined;
  if ("valueQuantity" in item) return quantity(obj(item.valueQuantity, "valueQuantity"), known[0], time, found);
  if ("valueInteger" in item) return found.measurement(known[0], numberOf(item.valueInteger), "1", time);
  if ("valueSampledData" in item) return series(obj(item.valueSampledData, "valueSampledData"), known[0], time, found);
  if (!("valueCodeableConcept" in item)) return found.skip("observation_without_number");
  const answer = coded(item.valueCodeableConcept, "valueCodeableConcept", found);
  if (answer === null) return undefined;
  if (ANSWERS.some((prefix) => answer[0].startsWith(prefix))) return found.term(...answer, false, null);
  return found.skip("answer_without_meaning_of_its_own");
}

function quantity(given, code, time, found) {
  if (given.comparator) return found.skip("value_beyond_range");
  return found.measurement(code, numberOf(given.value), textOf(given.code) || textOf(given.unit), time);
}

function series(data, code, time, found) {
  const origin = obj(data.origin, "origin");
  const numbers = [numberOf(origin.value), numberOf(data.factor ?? 1), numberOf(data.period)];
  if (numbers.includes(null) || (data.dimensions ?? 1) !== 1) return found.skip("series_not_understood");
  const unit = textOf(origin.code) || textOf(origin.unit);
  for (const text of textOf(data.data).split(/\s+/).filter(Boolean)) {
    if (GAPS.has(text)) found.skip("series_gap");
    else found.measurement(code, /^-?\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : null, unit, time);
  }
  return undefined;
}
