/**
 * Standard Schema, version 1 (https://standardschema.dev): how zod, valibot, arktype and others are
 * asked to validate. Written out rather than imported: it is an interface without code, and its
 * authors invite to copy it. So a project that defines workflows installs nothing for it. Pure.
 */

/**
 * A schema of any library that speaks Standard Schema. `In` is what it takes, `Out` what it gives:
 * a member with a default may be absent in the one and is there in the other.
 * @example
 * import * as z from "zod";
 *
 * const schema: StandardSchema<{ to?: string | undefined }, { to: string }> = z.object({
 *   to: z.string().default("en"),
 * });
 */
export interface StandardSchema<In = unknown, Out = unknown> {
  readonly "~standard": {
    readonly version: 1;
    /** The library's name. */
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    /** Never there at run time: it tells the compiler the types. */
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

/**
 * What a schema says of a value: the value that it makes of it, or what is wrong.
 * @example
 * const result: SchemaResult<string> = { issues: [{ message: "too short", path: ["title"] }] };
 */
export type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/**
 * One thing that is wrong with a value, and where.
 * @example
 * const issue: SchemaIssue = { message: "expected a string", path: ["sections", 2, "title"] };
 */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

type TypesOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>;
/** What a schema takes; `None` where there is no schema. */
export type SchemaIn<S, None = never> = S extends StandardSchema ? TypesOf<S>["input"] : None;
/** What a schema gives; `None` where there is no schema. */
export type SchemaOut<S, None = never> = S extends StandardSchema ? TypesOf<S>["output"] : None;
