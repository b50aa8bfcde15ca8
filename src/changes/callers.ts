/**
 * The kinds of changes that the methods of the contract make. A caller carries these alone. Pure.
 */
import type { TypeOf } from "../model/shape.ts";
import type { StoredKindOf } from "./change-kind.ts";
import { idempotencyKeyChanges } from "./idempotency-keys.ts";
import { jobChanges } from "./jobs.ts";
import { outboxChanges } from "./outbox.ts";
import { recordChanges } from "./records.ts";
import { runChanges } from "./runs.ts";
import { stageChanges } from "./stages.ts";

export const CALLER_KINDS = {
  ...runChanges,
  ...stageChanges,
  ...recordChanges,
  ...outboxChanges,
  ...idempotencyKeyChanges,
  ...jobChanges,
};
type Kinds = typeof CALLER_KINDS;
export type CallerKind = keyof Kinds;

/** A change that a method of the contract makes. */
export type CallerChange = { [K in keyof Kinds]: TypeOf<Kinds[K]["shape"]> }[keyof Kinds];

export function isCallers(change: { readonly kind: string }): change is CallerChange {
  return Object.hasOwn(CALLER_KINDS, change.kind);
}

/** The description of the change's kind. */
export function kindOfCallers({ kind }: Pick<CallerChange, "kind">): StoredKindOf<CallerChange> {
  // The kind under the name `kind` takes the changes of that kind, and this is one.
  return CALLER_KINDS[kind] as unknown as StoredKindOf<CallerChange>;
}
