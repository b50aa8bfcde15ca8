import { beforeEach, expect, it } from "vitest";
import { connect } from "../../src/client/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { service } from "../support/env.ts";

const ARTIFACTS = 22;
const SIZE = 1_800_000;

beforeEach(() => emptyDatabase());

it("a list that is larger than an RPC message arrives whole", async () => {
  const { persistence } = connect(service);
  const run = await persistence.createRun({
    workflowId: "w",
    workflowName: "W",
    workflowType: "w",
    input: null,
  });
  for (let index = 0; index < ARTIFACTS; index += 1) {
    await persistence.saveArtifact({
      workflowRunId: run.id,
      key: String(index).padStart(2, "0"),
      type: "ARTIFACT",
      data: String(index % 10).repeat(SIZE),
      size: SIZE,
    });
  }

  const listed = await persistence.listArtifacts(run.id);

  expect(ARTIFACTS * SIZE).toBeGreaterThan(32 * 1_024 * 1_024);
  expect(listed.map((artifact) => artifact.data)).toEqual(
    Array.from({ length: ARTIFACTS }, (_, index) => String(index % 10).repeat(SIZE)),
  );
});
