/** Which of a run's signals a stage takes. Not in `rows.ts`: callers do not carry it. Pure. */
import { byText, firstBy, inTurn } from "./order.ts";
import type { SignalRow } from "./rows.ts";

/** The untaken signal of the name that came first; null: none. */
export function nextSignal(signals: Iterable<SignalRow>, name: string): SignalRow | null {
  const untaken = [...signals].filter((one) => one.name === name && one.takenAt === null);
  return firstBy(untaken, BY_ARRIVAL);
}

const BY_ARRIVAL = inTurn<SignalRow>(
  byText(({ ordinal }) => ordinal),
  byText(({ id }) => id),
);
