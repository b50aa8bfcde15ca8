/** The OpenAPI document as its readers see it, without references. */
import * as z from "zod";
import { send, URL_OF_SERVICE } from "./support.ts";

export type Schema = Readonly<Record<string, unknown>>;
export interface Document {
  readonly info: { readonly version: string };
  readonly components: { readonly schemas: Record<string, Schema> };
  readonly paths: Record<string, Record<string, unknown>>;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
}
export interface Answer {
  /** Null where there is no body. */
  readonly schema: z.ZodType | null;
  readonly example: unknown;
  readonly examples: Readonly<Record<string, { readonly value: unknown }>>;
  readonly headers: readonly string[];
}
export interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { name: string; in: string; required?: boolean; schema: Schema }[];
  /** The headers of requests that it knows. */
  readonly headers: readonly string[];
  readonly body: { readonly schema: Schema; readonly example: unknown } | null;
  readonly answers: ReadonlyMap<number, Answer>;
}

export async function theDocument(): Promise<Document> {
  const response = await send(new Request(`${URL_OF_SERVICE}/openapi.json`));
  return response.json<Document>();
}

interface Media {
  readonly schema: Schema;
  readonly example?: unknown;
  readonly examples?: Answer["examples"];
}
interface Told {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: Operation["parameters"];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<string, { content?: Readonly<Record<string, Media>>; headers?: object }>
  >;
}

export function operations(document: Document): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const told = resolved(document, operation) as Told;
      const { parameters = [], requestBody, responses } = told;
      const body = requestBody?.content["application/json"];
      const answers = Object.entries(responses).map(([status, { content = {}, headers = {} }]) => {
        const media = Object.values(content)[0];
        const schema = media === undefined ? null : z.fromJSONSchema(media.schema);
        const { example, examples = {} } = media ?? {};
        return [
          Number(status),
          { schema, example, examples, headers: Object.keys(headers) },
        ] as const;
      });
      return {
        id: told.operationId,
        summary: told.summary,
        tags: told.tags,
        method: method.toUpperCase(),
        path,
        parameters,
        headers: parameters.filter(({ in: place }) => place === "header").map(({ name }) => name),
        body: body === undefined ? null : { schema: body.schema, example: body.example },
        answers: new Map(answers),
      };
    }),
  );
}

/** Without references. No schema of ours contains itself. */
export function resolved(document: Document, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => resolved(document, item));
  if (typeof value !== "object" || value === null) return value;
  const reference = Reflect.get(value, "$ref") as unknown;
  if (typeof reference === "string") return resolved(document, pointed(document, reference));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, resolved(document, item)]),
  );
}

function pointed(document: Document, reference: string): unknown {
  let at: unknown = document;
  for (const part of reference.split("/").slice(1)) at = Reflect.get(at as object, part);
  if (at === undefined) throw new Error(`${reference} is nowhere`);
  return at;
}
