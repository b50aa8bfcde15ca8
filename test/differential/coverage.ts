/** Which operations have succeeded and which have failed, how often, and with what. */
import type { Answer } from "./perform.ts";

interface Count {
  succeeded: number;
  failed: number;
}

export class Coverage {
  readonly #counts = new Map<string, Count>();
  readonly #codes = new Map<string, number>();

  constructor(operations: readonly string[]) {
    for (const operation of operations) this.#counts.set(operation, { succeeded: 0, failed: 0 });
  }

  note({ method, outcome }: Answer): void {
    const count = this.#counts.get(method);
    if (count === undefined) throw new Error(`${method} is no operation`);
    if (outcome.ok) {
      count.succeeded += 1;
      return;
    }
    count.failed += 1;
    const code = codeOf(outcome.error);
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
  }

  /** What has not happened yet. */
  missing(): string[] {
    return [...this.#counts].flatMap(([operation, { succeeded, failed }]) => [
      ...(succeeded === 0 ? [`${operation} has not succeeded`] : []),
      ...(failed === 0 ? [`${operation} has not failed`] : []),
    ]);
  }

  codes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#codes);
  }

  /** A line per operation. */
  table(): string {
    const width = Math.max(...[...this.#counts.keys()].map((name) => name.length));
    return [...this.#counts]
      .map(([operation, { succeeded, failed }]) =>
        [operation.padEnd(width), String(succeeded).padStart(6), String(failed).padStart(6)].join(
          "",
        ),
      )
      .join("\n");
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return "code" in error ? String(error.code) : error.name;
}
