/** Shows how far a corpus is: a table that is redrawn on a terminal, a line for each stage elsewhere. */
import type { CorpusProgress, RunProgress, StageProgress } from "../examples/documents/src/api.ts";
import type { PublishedEvent } from "./app-client.ts";

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface Display {
  progress(progress: CorpusProgress): void;
  event(event: PublishedEvent): void;
}

/** `names` says what to call each run. */
export function chooseDisplay(screen: Screen, names: ReadonlyMap<string, string>): Display {
  const fits = names.size + 2 < (screen.rows ?? 0);
  return screen.isTTY === true && fits ? new Table(screen) : new Lines(screen, names);
}

class Lines implements Display {
  readonly #screen: Screen;
  readonly #names: ReadonlyMap<string, string>;
  readonly #width: number;
  readonly #said = new Set<string>();

  constructor(screen: Screen, names: ReadonlyMap<string, string>) {
    this.#screen = screen;
    this.#names = names;
    this.#width = Math.max(...[...names.values()].map((name) => name.length));
  }

  progress({ runs }: CorpusProgress): void {
    for (const { runId, status, stages } of runs) {
      for (const stage of stages) this.#say(runId, outcomeOf(stage));
      if (status === "COMPLETED" || status === "FAILED") this.#say(runId, status);
    }
  }

  event({ workflowRunId, eventType, payload }: PublishedEvent): void {
    if (eventType !== "stage:retrying") return;
    const { stageId, attempt, error } = payload;
    this.#say(workflowRunId, `${String(stageId)} failed, try ${String(attempt)}: ${String(error)}`);
  }

  /** Once. */
  #say(runId: string, text: string | null): void {
    // Runs of an earlier start that was cut short are finished along the way. They have no name here.
    const name = this.#names.get(runId);
    if (name === undefined || text === null) return;
    const line = `${name.padEnd(this.#width)}  ${text}\n`;
    if (this.#said.has(line)) return;
    this.#said.add(line);
    this.#screen.write(line);
  }
}

class Table implements Display {
  readonly #screen: Screen;
  #events = 0;
  #drawn = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  event(): void {
    this.#events++;
  }

  progress({ runs }: CorpusProgress): void {
    const width = Math.max(...runs.map((run) => run.name.length));
    const rows = [...runs.map((run) => row(run, width)), `${this.#events} events published`];
    const up = this.#drawn === 0 ? "" : `\u001B[${this.#drawn}A`;
    const columns = this.#screen.columns ?? 80;
    const lines = rows.map((text) => `\u001B[2K${text.slice(0, columns - 1)}\n`);
    this.#screen.write(up + lines.join(""));
    this.#drawn = rows.length;
  }
}

function row(run: RunProgress, width: number): string {
  const stages = run.stages.map((stage) => `${mark(stage)} ${stage.id}`.padEnd(11));
  return `${run.name.padEnd(width)}  ${run.status.padEnd(9)}  ${stages.join(" ")}${waiting(run)}`;
}

function waiting(run: RunProgress): string {
  const suspended = run.stages.find((stage) => stage.status === "SUSPENDED");
  return suspended?.note ? ` waits for ${suspended.note}` : "";
}

function mark({ status }: StageProgress): string {
  switch (status) {
    case "PENDING":
      return "○";
    case "RUNNING":
      return "▶";
    case "SUSPENDED":
      return "…";
    case "COMPLETED":
      return "✔";
    case "FAILED":
    case "CANCELLED":
    case "SKIPPED":
      return "✖";
  }
}

function outcomeOf({ id, status, note }: StageProgress): string | null {
  if (status !== "COMPLETED" && status !== "FAILED") return null;
  return `${id} ${status.toLowerCase()}${note === null ? "" : `: ${note}`}`;
}
