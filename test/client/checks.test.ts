/** What a client checks is what the service checks: every member in which a caller has a part, with values on every edge. */
import { describe, expect, it } from "vitest";
import type * as z from "zod";
import {
  CALL_TOKENS_MAX,
  COST_MAX,
  ID_BYTES_MAX,
  INSTANT_MAX,
  INSTANT_MIN,
  JOB_ERROR_BYTES_MAX,
  KEY_BYTES_MAX,
  NAME_BYTES_MAX,
  RECORD_ID_BYTES_MAX,
  ROW_BYTES_MAX,
} from "../../src/changes/index.ts";
import { change, query } from "../../src/changes/schemas.ts";
import { CHECKED_QUERIES, type CheckedKind, problemOf, ruleOf } from "../../src/client/checks.ts";

const LENGTHS = [
  ID_BYTES_MAX,
  KEY_BYTES_MAX,
  NAME_BYTES_MAX,
  RECORD_ID_BYTES_MAX,
  JOB_ERROR_BYTES_MAX,
];
const ORDINALS = [64, 65, 80, 81].map((length) => "0".repeat(length));
const TEXTS = [...LENGTHS, ROW_BYTES_MAX].flatMap((bytes) => [
  "a".repeat(bytes),
  "a".repeat(bytes + 1),
  `${"a".repeat(bytes - 1)}\u00e9`,
]);
const WORDS = ["", ".", "..", "...", "a\0", "\ud800", "\u00e9", "A", "toString", "__proto__"];
const ENUMS = ["PENDING", "SKIPPED", "pending", "DEBUG", "ERROR", "STAGE_OUTPUT", "METADATA"];
const EDGES = [INSTANT_MIN, INSTANT_MAX, CALL_TOKENS_MAX, COST_MAX, Number.MAX_SAFE_INTEGER, 0, 1];
const NUMBERS = EDGES.flatMap((edge) => [edge, -edge, edge + 1, edge - 1, edge + 0.5]);
const OTHERS = [Number.NaN, Infinity, -Infinity, -0, 1e308, 1n, true, false, null, undefined];
const OBJECTS = [{}, [], [1], ["a"], new Date(0), () => "a", Symbol("a"), Object("a"), Object(1)];
const VALUES = [...ORDINALS, ...TEXTS, ...WORDS, ...ENUMS, ...NUMBERS, ...OTHERS, ...OBJECTS];

/** Not a plain value of a caller's: it is told apart before it comes here, or made by the client. */
const OURS = ["kind", "q", "retry", "after", "omit", "annotation"];
/** How much a client asks for at once is its own affair, or has been checked; that it is a count is not. */
const OWN_LIMIT = 1_000;

interface Member {
  readonly kind: CheckedKind;
  readonly name: string;
  readonly schema: z.ZodType;
  /** Absent where it is undefined. */
  readonly optional: boolean;
}

function membersOf(kind: CheckedKind, shape: Readonly<Record<string, z.ZodType>>): Member[] {
  return Object.entries(shape).flatMap(([name, schema]): Member[] => {
    if (name !== "row" && name !== "set" && name !== "filters") {
      return [{ kind, name, schema, optional: false }];
    }
    // The parts of a change or a query are objects.
    const part = Object.entries((schema as z.ZodObject).shape);
    return part.map(([of, member]) => ({
      kind,
      name: of,
      schema: member,
      optional: name !== "row",
    }));
  });
}

const members = [
  ...change.options.flatMap(({ shape }) =>
    [...shape.kind.values].flatMap((k) => membersOf(k, shape)),
  ),
  ...query.options.flatMap(({ shape }) =>
    CHECKED_QUERIES.filter((q) => [...shape.q.values].some((own) => own === q)).flatMap((q) =>
      membersOf(q, shape),
    ),
  ),
];

/** The values of which the two do not think alike. */
function disputed({ kind, name, schema, optional }: Member): string[] {
  const rule = ruleOf(kind, name);
  if (rule === undefined) return ["no rule"];
  return VALUES.filter((value) => {
    if (optional && value === undefined) return false;
    if (name === "limit" && typeof value === "number" && value > OWN_LIMIT) return false;
    if (name === "bytesMax" && value === undefined) return false;
    return schema.safeParse(value).success !== (rule(value) === null);
  }).map((value) => String(value).slice(0, 40));
}

describe("a client's check", () => {
  it("refuses what the service's schema refuses, and nothing else", () => {
    expect(members.length).toBeGreaterThan(200);
    const disputes = members
      .filter(({ name }) => !OURS.includes(name))
      .map((member) => [`${member.kind}.${member.name}`, disputed(member)] as const)
      .filter(([, values]) => values.length > 0);
    expect(disputes).toEqual([]);
  });

  it("names the member, the limit and the size, in whichever part it is", () => {
    const run = { q: "run", id: "" } as const;
    expect(problemOf(run)).toEqual({ field: "id", message: "must not be empty" });
    const update = { kind: "updateRun", id: "r", at: 0, bump: 1 } as const;
    expect(problemOf({ ...update, set: { totalCost: -1 } })).toMatchObject({ field: "totalCost" });
    expect(problemOf({ ...update, set: {} })).toBeNull();
    const filters = { workflowType: "a".repeat(NAME_BYTES_MAX + 1) };
    const runs = { q: "runs", filters, after: null, descending: false, limit: 1 } as const;
    expect(problemOf(runs)).toMatchObject({
      field: "workflowType",
      limit: NAME_BYTES_MAX,
      size: NAME_BYTES_MAX + 1,
    });
  });
});
