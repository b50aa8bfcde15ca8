/** The ledger, for people: as lines for the terminal and as the table of docs/cost.md. */
import type { Figures } from "./recorder.ts";

/** Dollars per million. */
export const PRICES = { rowsWritten: 1, rowsRead: 0.001, coordinated: 0.15 } as const;

export function dollarsPerMillion({ rowsWritten, rowsRead, coordinated }: Figures): number {
  return (
    rowsWritten * PRICES.rowsWritten + rowsRead * PRICES.rowsRead + coordinated * PRICES.coordinated
  );
}

/** A row of the table of docs/cost.md. */
export function tableRow(name: string, figures: Figures): string {
  const { roundTrips, statements, rowsRead, rowsWritten, coordinated } = figures;
  const dollars = dollarsPerMillion(figures).toFixed(3);
  return `| \`${name}\` | ${roundTrips} | ${statements} | ${rowsRead} | ${rowsWritten} | ${coordinated} | ${dollars} |`;
}

/** One line per call: round trips, rows read and rows written under each condition. */
export function ledgerLines(
  conditions: readonly string[],
  ledger: ReadonlyMap<string, readonly Figures[]>,
): string[] {
  const width = Math.max(...[...ledger.keys()].map((name) => name.length));
  const head = ["", ...conditions].map((text, index) => text.padEnd(index === 0 ? width : 24));
  const lines = [...ledger].map(([name, figures]) =>
    [
      name.padEnd(width),
      ...figures.map(({ roundTrips, rowsRead, rowsWritten }) =>
        `${roundTrips} / ${rowsRead} / ${rowsWritten}`.padEnd(24),
      ),
    ].join("  "),
  );
  return ["Round trips / rows read / rows written", head.join("  "), ...lines];
}
