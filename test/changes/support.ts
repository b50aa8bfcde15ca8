/** The maps of tests take every change, as the in-memory store's do. */
import { applyChanges as applyTo, type Change } from "../../src/changes/index.ts";
import { EFFECTS } from "../../src/memory/effects/index.ts";
import type { State } from "../../src/model/state.ts";

export function applyChanges(state: State, changes: readonly Change[], commitId: string): void {
  applyTo(state, changes, commitId, EFFECTS);
}
