/** Random guards of every kind. */
import fc from "fast-check";
import type { Guard } from "../../src/changes/index.ts";
import type { Status } from "../../src/contract/index.ts";
import {
  commitId,
  CURRENT,
  CURRENT_NUMBER,
  DEDUPE_KEYS,
  event,
  idempotencyKey,
  jobKey,
  key,
  nullable,
  of,
  recordId,
  signalName,
  stageId,
  status,
  workflowRunId,
} from "./rows.ts";

type Expectation<On extends Guard["on"]> = Extract<Guard, { on: On; expect: unknown }>["expect"];

function expecting<On extends Guard["on"]>(
  ...more: readonly fc.Arbitrary<Expectation<On>>[]
): fc.Arbitrary<Expectation<On>> {
  const one = (expect: object) => of(expect as Expectation<On>);
  return fc.oneof(
    one({ is: "absent" }),
    one({ is: "present" }),
    one({ is: "unchanged", token: commitId(1) }),
    // These need more luck to hold.
    { weight: 2, arbitrary: one({ is: "unchanged", token: CURRENT }) },
    ...more.map((arbitrary) => ({ weight: 2, arbitrary })),
  );
}

const versions = of(1, 2, 3, CURRENT_NUMBER, CURRENT_NUMBER).map((version) => ({
  is: "version" as const,
  version,
}));

export const GUARDS: { readonly [On in Guard["on"]]: fc.Arbitrary<Extract<Guard, { on: On }>> } = {
  run: fc.record({
    on: of("run"),
    id: fc.oneof(workflowRunId, of("t", "u")),
    expect: expecting<"run">(
      versions,
      of<Status[]>("PENDING", "RUNNING").map((found) => ({ is: "status", status: found })),
    ),
  }),
  stage: fc.record({
    on: of("stage"),
    workflowRunId,
    stageId,
    expect: expecting<"stage">(
      versions,
      recordId.map((id) => ({ is: "record", id })),
      of<Status[]>("PENDING", "RUNNING").map((found) => ({ is: "status", status: found })),
      // Mostly the record that is there, if any is.
      of({ is: "record", id: "r/a/1.1" }),
      of<Status[]>("PENDING", "RUNNING").map((found) => ({
        is: "recordIn",
        id: "r/a/1.1",
        status: found,
      })),
    ),
  }),
  artifact: fc.record({
    on: of("artifact"),
    workflowRunId,
    key,
    expect: expecting<"artifact">(),
  }),
  outboxEvent: fc.record({
    on: of("outboxEvent"),
    ...event,
    expect: expecting<"outboxEvent">(),
  }),
  idempotencyKey: fc.record({
    on: of("idempotencyKey"),
    ...idempotencyKey,
    expect: of(
      { is: "absent" },
      { is: "unchanged", token: CURRENT },
      { is: "unchanged", token: commitId(1) },
    ),
  }),
  job: fc.record({
    on: of("job"),
    ...jobKey,
    expect: expecting<"job">(
      of(0, 1, CURRENT_NUMBER, CURRENT_NUMBER).map((attempt) => ({ is: "attempt", attempt })),
      fc.record({
        is: of("leased" as const),
        attempt: of(1, CURRENT_NUMBER, CURRENT_NUMBER),
        stageId: of(CURRENT, CURRENT, "a"),
      }),
    ),
  }),
  noSignal: fc.record({ on: of("noSignal"), workflowRunId, name: signalName }),
  dedupeKey: fc.record({ on: of("dedupeKey"), dedupeKey: of(...DEDUPE_KEYS, "") }),
  list: fc.record({
    on: of("list"),
    list: of("stages", "artifacts", "annotations", "jobs"),
    workflowRunId,
    status: nullable(status),
    tokens: of(CURRENT, CURRENT, "", commitId(1)),
  }),
  outboxTail: fc.record({ on: of("outboxTail"), workflowRunId, sequence: of(0, 0, 1, 2, 3) }),
};
