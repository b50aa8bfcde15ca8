import { vi } from "vitest";
import { AI_CALL } from "../support/world.ts";
import type { Scenario } from "./scenario.ts";

const OTHER = { ...AI_CALL, prompt: "Translate", modelKey: "large" };

export const aiCallScenarios: readonly Scenario[] = [
  {
    method: "aiCalls.logCall",
    /** It reports what went wrong to the console, there being nobody else. */
    call: async ({ aiCalls }) => {
      const reports = vi.spyOn(console, "error").mockImplementation(() => {});
      try {
        aiCalls.logCall(OTHER);
        await aiCalls.flush();
        const [report] = reports.mock.calls;
        if (report !== undefined) throw report[1];
      } finally {
        reports.mockRestore();
      }
    },
    repeat: { adds: "a call has no key of its caller's: logBatchResults takes one" },
  },
  {
    method: "aiCalls.logBatchResults",
    call: ({ aiCalls }) => aiCalls.logBatchResults("new", [AI_CALL, OTHER, OTHER]),
    repeat: "the same",
  },
  {
    method: "aiCalls.logBatchResults",
    title: "some of them recorded before",
    call: ({ aiCalls }) => aiCalls.logBatchResults("known", [AI_CALL, OTHER]),
    repeat: "the same",
  },
  {
    method: "aiCalls.getStats",
    call: ({ aiCalls }) => aiCalls.getStats("report"),
    repeat: "the same",
  },
  {
    method: "aiCalls.isRecorded",
    call: ({ aiCalls }) => aiCalls.isRecorded("known"),
    repeat: "the same",
  },
];
