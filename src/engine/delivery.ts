/**
 * What passes between the service, which keeps the rows, and the app, which knows the workflow: the
 * service delivers a stage, and the app answers what came of it and what comes next. Plain data and
 * JSON texts, so that it crosses a service binding as it is. Types alone.
 */
import type { LogLevel } from "../contract/index.ts";
import type { StageAICall } from "./context.ts";

/** JSON text, as it is stored. */
export type JsonText = string;

/** The run, as far as its stages may know it. */
export interface DeliveredRun {
  readonly id: string;
  readonly workflowId: string;
  /** The version and the shape with which the run was started. */
  readonly version: number;
  readonly shape: string;
  /** An object with a member for each stage that has a config. */
  readonly config: JsonText;
}

/**
 * What the workflow gave up to a group: the run's input (`group` 0), or the outputs of the last group
 * before it that has any, by stage id. A sleep and a skipped stage give none: they let pass what came
 * before them.
 */
export interface Before {
  readonly group: number;
  /** Of group 0: the run's input under "". */
  readonly outputs: Readonly<Record<string, JsonText>>;
}

/** Why a stage is delivered. */
export type Occasion =
  /** To run it; of a wait or a sleep, to begin it. */
  | { readonly kind: "run" }
  /** Its condition is open: to decide it, and no more. */
  | { readonly kind: "decide" }
  /** It had suspended itself, and its pause is over. */
  | { readonly kind: "poll"; readonly state: JsonText }
  /** A wait: the payload of its signal, or null when none came within its time. */
  | { readonly kind: "signal"; readonly payload: JsonText | null }
  /** A sleep is over. */
  | { readonly kind: "wake" };

/** A stage that the service has leased, and hands to the app. */
export interface StageDelivery {
  readonly run: DeliveredRun;
  readonly stageId: string;
  /** The stage's record id. A retry has the same, a rerun another. */
  readonly recordId: string;
  /** 1 for the first try; a retry and a rerun each add 1. */
  readonly attempt: number;
  /** Tries that are left after this one. */
  readonly triesLeft: number;
  readonly occasion: Occasion;
  readonly before: Before;
}

/** A group whose stages are all done: the service asks what comes after it. */
export interface GroupDelivery {
  readonly run: DeliveredRun;
  /** The group that is done. */
  readonly group: number;
  readonly before: Before;
}

/** What the app may ask the service for while a stage runs. Over a binding, each call is a round trip. */
export interface StageTools {
  /** What an earlier stage of the run gave; null: it gave nothing, or was skipped. */
  output(stageId: string): Promise<JsonText | null>;
  /** The result that `once` has stored under the key, for this record of the stage; null: none. */
  recall(key: string): Promise<JsonText | null>;
  /** Stores the result of `once`; answers the one that is stored, which is an earlier try's if there was one. */
  keep(key: string, result: JsonText): Promise<JsonText>;
  /** An artifact of the run; null: none. */
  artifact(key: string): Promise<JsonText | null>;
  progress(done: number, total: number | null): Promise<void>;
  /**
   * Resolves with the reason when the result will not be taken any more: the run was cancelled, or the
   * lease is lost. Pending until then; it need not ever resolve.
   */
  aborted(): Promise<string>;
}

/** What a stage said while it ran. It lands in the commit of the stage's outcome. */
export interface StageNotes {
  readonly logs: readonly {
    readonly level: LogLevel;
    readonly message: string;
    readonly data: JsonText | null;
  }[];
  readonly annotations: readonly { readonly key: string; readonly value: JsonText }[];
  /** The last one of each key. */
  readonly artifacts: readonly {
    readonly key: string;
    readonly data: JsonText;
    readonly metadata: JsonText | null;
  }[];
  /** Checked as the ledger of AI calls checks them. */
  readonly aiCalls: readonly StageAICall[];
}

/** A stage that the run comes to next. */
export interface NextStage {
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly number: number;
  /** Tries in all. */
  readonly attempts: number;
  /** The longest that one try takes; null: as long as a Worker may. */
  readonly timeoutMs: number | null;
  readonly concurrency: { readonly key: string; readonly limit: number } | null;
  /**
   * It begins by waiting this long at most: for the signal of its name (`wait`), or for the time to
   * pass (`sleep`). Null: it is to be run.
   */
  readonly waits: { readonly for: "signal" | "time"; readonly ms: number } | null;
  /** Its condition is open: a delivery decides it before the stage is run. */
  readonly decides: boolean;
}

/** A stage whose condition was not met, so that the run has passed it over. */
export type SkippedStage = NextStage & { readonly group: number };

/** What comes after a stage or a group. */
export type Next =
  /** The run is done, and gives this, after the stages whose conditions were not met. */
  | {
      readonly kind: "finish";
      readonly output: JsonText;
      readonly skipped: readonly SkippedStage[];
    }
  /** A group, after the stages whose conditions were not met. */
  | {
      readonly kind: "group";
      readonly group: number;
      readonly stages: readonly NextStage[];
      readonly skipped: readonly SkippedStage[];
    }
  /** Others of the group may still be open, by their ids: the service asks when all are done. */
  | { readonly kind: "join"; readonly siblings: readonly string[] };

/** What came of a stage. Times are from the moment of the answer. */
export type StageOutcome =
  | { readonly outcome: "completed"; readonly output: JsonText; readonly next: Next }
  /** The stage lets pass what came before it: its condition was not met, or it was a sleep. */
  | { readonly outcome: "passed"; readonly as: "SKIPPED" | "COMPLETED"; readonly next: Next }
  /** Its condition was open, and is met: the stage is to be run. */
  | { readonly outcome: "met"; readonly stage: NextStage }
  /** To be polled after `pollInMs`; fails when `withinMs` have passed. Null: as before. */
  | {
      readonly outcome: "suspended";
      readonly state: JsonText | null;
      readonly pollInMs: number | null;
      readonly withinMs: number | null;
    }
  /** A wait or a sleep begins. */
  | {
      readonly outcome: "waiting";
      readonly for: "signal" | "time";
      readonly ms: number;
    }
  /** Null: not tried again. */
  | { readonly outcome: "failed"; readonly error: string; readonly retryInMs: number | null };

export type StageAnswer = StageOutcome & { readonly notes: StageNotes };

/** Works stages: code of the app, in this Worker or in another one. */
export interface StageRunner {
  /** Runs, polls or ends one stage. Never rejects for what the stage's own code does. */
  runStage(delivery: StageDelivery, tools: StageTools): Promise<StageAnswer>;
  /** Says what comes after a group that is done. Never rejects for what the app's code does. */
  afterGroup(delivery: GroupDelivery, tools: StageTools): Promise<GroupAnswer>;
}

/** What comes after a group; or the reason for which nobody can tell. */
export type GroupAnswer =
  | { readonly outcome: "next"; readonly next: Exclude<Next, { kind: "join" }> }
  | { readonly outcome: "failed"; readonly error: string };

/** Where a run begins: what starts one computes it from the definition. */
export type First = Extract<Next, { kind: "group" | "finish" }>;
