/** The OpenAPI document, made from the operations. */
import * as z from "zod";
import { ACCESS_HEADER } from "./access.ts";
import { type Answer, HEADERS, type Operation, PARAMETERS } from "./operation.ts";
import { exampleOf, ANSWERED_CODES } from "./problem.ts";
import { problemKind } from "./problem-kinds.ts";
import { VERSION } from "../version.ts";

const ABOUT = `Multi-stage workflows on Cloudflare with no server: runs, stages, jobs, outbox and more in D1, with real transactions.

Each operation names the scope that its token needs; \`admin\` includes the others, and \`write\` includes \`read\`. Faults are problem
details (RFC 9457); the schema \`Problem\` lists their codes. Lists page by \`cursor\`.`;

const DOCUMENT = {
  openapi: "3.1.0",
  info: {
    title: "workflow-engine-cloudflare",
    version: VERSION,
    description: ABOUT,
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: "/", description: "This deployment" }],
  tags: [
    { name: "runs", description: "One execution of a workflow each." },
    { name: "stages", description: "The steps of runs." },
    { name: "jobs", description: "Work that waits for a worker, and its leases." },
    { name: "logs", description: "What runs and stages report while they work." },
    { name: "artifacts", description: "What stages make, by key." },
    { name: "annotations", description: "Statements about a run, a stage or a call; append-only." },
    { name: "outbox", description: "Events that are to be published, in the order of commits." },
    { name: "idempotency keys", description: "For commands of your own that must happen once." },
    { name: "AI calls", description: "The ledger of calls of models, and what they cost." },
    { name: "commits", description: "Transactions: guards and changes as data." },
    { name: "operations", description: "To operate the service." },
  ],
};

/** Components to which operations refer by name. */
const COMPONENTS = {
  securitySchemes: {
    bearer: {
      type: "http",
      scheme: "bearer",
      description: "A token whose SHA-256 is in the secret API_TOKENS.",
    },
    access: {
      type: "apiKey",
      in: "header",
      name: ACCESS_HEADER,
      description:
        "The JWT that Cloudflare Access adds to each request that it lets through, where it is configured.",
    },
  },
  headers: HEADERS,
  parameters: PARAMETERS,
  examples: Object.fromEntries(
    ANSWERED_CODES.map((code) => {
      const { title: summary } = problemKind(code);
      return [code, { summary, value: exampleOf(code) }];
    }),
  ),
};

type Json = z.core.JSONSchema.BaseSchema;
interface Parameter {
  readonly name: string;
  readonly in: "query" | "path";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Json;
}
interface Shown {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: Operation["security"];
  readonly parameters?: readonly (Parameter | Operation["parameters"][number])[];
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, object>>;
}

/** The document, as far as its readers here look at it. */
export interface ApiDocument {
  readonly openapi: string;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Shown>>>>;
}

/** The document of these operations. */
export function documentOf(operations: readonly Operation[]): ApiDocument {
  const schemas = new Schemas();
  const paths: Record<string, Record<string, Shown>> = {};
  for (const operation of operations) {
    const path = (paths[`/v1${operation.path}`] ??= {});
    path[operation.method] = shownOf(operation, schemas);
  }
  const components = { ...COMPONENTS, schemas: schemas.named };
  return { ...DOCUMENT, components, paths };
}

function shownOf(operation: Operation, schemas: Schemas): Shown {
  const { method: _, path: __, middleware: ___, request = {}, ...about } = operation;
  const { params, query, body } = request;
  const parameters = [
    ...about.parameters,
    ...parametersOf("path", params, schemas),
    ...parametersOf("query", query, schemas),
  ];
  const shown = { ...about, parameters, responses: answersOf(about.responses, schemas) };
  if (body === undefined) return shown;
  return { ...shown, requestBody: { ...body, content: contentOf(body.content, schemas) } };
}

function answersOf(answers: Operation["responses"], schemas: Schemas) {
  const told = Object.entries(answers).map(([status, { content, ...answer }]) => {
    if (content === undefined) return [status, answer] as const;
    return [status, { ...answer, content: contentOf(content, schemas) }] as const;
  });
  return Object.fromEntries(told);
}

function contentOf(content: NonNullable<Answer["content"]>, schemas: Schemas) {
  const told = Object.entries(content).map(
    ([type, { schema, ...media }]) => [type, { ...media, schema: schemas.jsonOf(schema) }] as const,
  );
  return Object.fromEntries(told);
}

function parametersOf(
  place: Parameter["in"],
  schema: z.ZodObject | undefined,
  schemas: Schemas,
): Parameter[] {
  const { properties = {}, required = [] } = schema === undefined ? {} : schemas.jsonOf(schema);
  return Object.entries(properties).flatMap(([name, property]) => {
    if (typeof property === "boolean") return [];
    const about = property.description === undefined ? {} : { description: property.description };
    return { name, in: place, required: required.includes(name), ...about, schema: property };
  });
}

/** Schemas as the document shows them: those with an id stand among the components. */
class Schemas {
  readonly named: Record<string, Json> = {};
  readonly #known = new Map<z.ZodType, Json>();

  jsonOf(schema: z.ZodType): Json {
    const known = this.#known.get(schema);
    if (known !== undefined) return known;
    // What a request may say. An answer has no transformation.
    const converted = z.toJSONSchema(schema, {
      io: "input",
      target: "openapi-3.1",
      unrepresentable: "any",
      override: asShown,
    });
    const { definitions = {}, ...json } = pointed(converted);
    Object.assign(this.named, definitions);
    this.#known.set(schema, json);
    return json;
  }
}

/** Zod's references, to components of the document. */
function pointed(converted: Json): Json {
  const text = JSON.stringify(converted, (key, value: unknown) =>
    key === "$ref" ? String(value).replace("#/definitions/", "#/components/schemas/") : value,
  );
  const json: Json = JSON.parse(text);
  return json;
}

type Override = NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>["override"]>;
/** Says in JSON Schema what Zod leaves unsaid, and leaves unsaid what needs no saying. */
const asShown: Override = ({ zodSchema, jsonSchema }) => {
  const { def } = zodSchema._zod;
  if (def.type === "object" && jsonSchema.required !== undefined) {
    // Zod takes a member of any type for one that may be left out.
    const { shape } = def;
    jsonSchema.required = jsonSchema.required.filter((n) => shape[n]?._zod.def.type !== "unknown");
    if (jsonSchema.required.length === 0) delete jsonSchema.required;
  }
  if (def.type === "number") {
    // The bounds of all whole numbers are told by their type.
    const checks = (def.checks ?? []).map(({ _zod }) => _zod.def.check);
    if (!checks.includes("greater_than")) delete jsonSchema.minimum;
    if (!checks.includes("less_than")) delete jsonSchema.maximum;
  }
  if (def.type === "nullable") {
    const [inner] = jsonSchema.anyOf ?? [];
    if (inner?.type === undefined) return;
    delete jsonSchema.anyOf;
    Object.assign(jsonSchema, inner, { type: [inner.type, "null"] });
  }
};
