/** What came before in a run: what is handed on, and what is read by id. Pure. */
import { ServiceError } from "../contract/index.ts";
import { decodeJson } from "../model/json.ts";
import type { Definition } from "./definition.ts";
import type { Before, JsonText, StageTools } from "./delivery.ts";
import { shown } from "./duration.ts";
import { listed } from "./names.ts";
import type { PlannedElement } from "./plan.ts";

/**
 * What a group gives to the next one: what its one element gave, or of several an object by id.
 * @throws Error when the delivery lacks it.
 */
export function handedOn({ plan }: Definition, { group, outputs }: Before): JsonText {
  const members = plan.groups[group - 1] ?? [];
  const [only] = members;
  if (members.length > 1) return objectOf(members, outputs);
  const id = group === 0 ? "" : only?.id;
  const text = id !== undefined && Object.hasOwn(outputs, id) ? outputs[id] : undefined;
  if (text === undefined) {
    throw new Error(`The delivery has no output of group ${group}, from which the run goes on`);
  }
  return text;
}

/** Texts of JSON are members as they are: nothing is parsed. */
function objectOf(
  members: readonly PlannedElement[],
  outputs: Readonly<Record<string, JsonText>>,
): JsonText {
  const texts = members.flatMap(({ id }) =>
    Object.hasOwn(outputs, id) ? [`${JSON.stringify(id)}:${outputs[id]}`] : [],
  );
  return `{${texts.join(",")}}`;
}

/** Reads what earlier stages gave, once each, and only what is asked for. */
export class OutputReader {
  readonly #definition: Definition;
  readonly #read: StageTools["output"];
  /** Null: it gave nothing. */
  readonly #texts = new Map<string, Promise<JsonText | null>>();

  constructor(definition: Definition, before: Before, read: StageTools["output"]) {
    this.#definition = definition;
    this.#read = read;
    if (before.group === 0) return;
    for (const [id, text] of Object.entries(before.outputs)) this.know(id, text);
  }

  /** Of a stage whose outcome is not stored yet. */
  know(id: string, text: JsonText | null): void {
    this.#texts.set(id, Promise.resolve(text));
  }

  /** The function with which the element, or what decides about it, reads. */
  readerFor(reading: PlannedElement): (id: string) => Promise<unknown> {
    return async (id) => {
      const element = this.#definition.plan.byId.get(id);
      if (element === undefined || element.group >= reading.group) {
        const before = [...this.#definition.plan.byId.values()]
          .filter(({ group }) => group < reading.group)
          .map((each) => each.id);
        const message = `There is no stage ${shown(id)} before ${shown(reading.id)}; there are: ${listed(before, id)}`;
        throw new ServiceError("INVALID_ARGUMENT", message, { field: "id" });
      }
      if (element.kind === "sleep") return null;
      const text = await this.#textOf(id);
      // Parsed for each that asks: what one does to it is not another's.
      return text === null ? undefined : decodeJson(text);
    };
  }

  async #textOf(id: string): Promise<JsonText | null> {
    const known = this.#texts.get(id);
    if (known !== undefined) return known;
    const read = this.#read(id);
    this.#texts.set(id, read);
    try {
      return await read;
    } catch (error) {
      // A stage may catch it and ask again.
      this.#texts.delete(id);
      throw error;
    }
  }
}
