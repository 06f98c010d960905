// A question's match in words: whom of its scope it counts, judged on encrypted data inside compute.

const between = ({ least, most }) => (most === undefined ? `at least ${least}` : least === undefined ? `at most ${most}` : `${least} to ${most}`);
const CONDITION = {
  term: (f) => `${f.present === false ? "without" : "with"} ${f.term}${f.ontology ? " or a descendant of it" : ""}`,
  group: (f) => `${f.stratum} ${f.levels.join(" or ")}`,
  number: (f) => [f.of.statistic, f.of.name ?? f.of.code ?? f.of.id, between(f), f.of.unit].filter(Boolean).join(" "),
  carrier: (f) => `${f.carries === false ? "not carrying" : "carrying"} ${f.variant}`,
};

// One text a condition; none where the question counts everybody. A kind this page does not know is shown as it is signed.
export const conditionsOf = ({ params }) => (params.match ?? []).map((one) => (CONDITION[one.kind] ?? JSON.stringify)(one));
