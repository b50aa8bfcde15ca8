/**
 * The answer to any query from the maps. Not here: the answers that a transaction needs as well,
 * which stand in `queries/`; `cut.ts` bounds those of them that a store bounds.
 */
import type { State } from "../../model/state.ts";
import {
  answer,
  isLocal,
  type Query,
  type ResultOf,
  type StoredName,
} from "../../queries/index.ts";
import type { CutAnswers, StoredAnswers } from "./answers.ts";
import { cutAnswers } from "./cut.ts";
import { jobAnswers } from "./jobs.ts";
import { outboxAnswers } from "./outbox.ts";
import { recordAnswers } from "./records.ts";
import { runSearchAnswers } from "./run-search.ts";
import { signalAnswers } from "./signals.ts";
import { stageAnswers } from "./stages.ts";
import { sweepAnswers } from "./sweep.ts";

const ANSWERS: StoredAnswers & CutAnswers = {
  ...cutAnswers,
  ...jobAnswers,
  ...outboxAnswers,
  ...recordAnswers,
  ...runSearchAnswers,
  ...signalAnswers,
  ...stageAnswers,
  ...sweepAnswers,
};

/** The query's answer from the maps, whichever query it is. */
export function answerAny<Q extends Query>(state: State, query: Q): ResultOf<Q> {
  if (isLocal(query) && !(query.q in ANSWERS)) return answer(state, query);
  // The answer under the name `q` takes the queries with that `q`, and this is one.
  const stored = ANSWERS[query.q as StoredName] as unknown as (of: State, asked: Q) => ResultOf<Q>;
  return stored(state, query);
}
