/**
 * What a stage in another Worker may ask while it runs, as one object that is called over RPC. A plain
 * object of functions would travel as a stub for each of them.
 */
import { RpcTarget } from "cloudflare:workers";
import type { JsonText, StageTools } from "../engine/delivery.ts";

export class BoundTools extends RpcTarget implements StageTools {
  readonly #tools: StageTools;

  constructor(tools: StageTools) {
    super();
    this.#tools = tools;
  }

  async output(stageId: string): Promise<JsonText | null> {
    return this.#tools.output(stageId);
  }

  async recall(key: string): Promise<JsonText | null> {
    return this.#tools.recall(key);
  }

  async keep(key: string, result: JsonText): Promise<JsonText> {
    return this.#tools.keep(key, result);
  }

  async artifact(key: string): Promise<JsonText | null> {
    return this.#tools.artifact(key);
  }

  async progress(done: number, total: number | null): Promise<void> {
    return this.#tools.progress(done, total);
  }

  async aborted(): Promise<string> {
    return this.#tools.aborted();
  }
}
