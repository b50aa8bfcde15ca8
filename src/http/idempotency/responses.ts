/** Answers that are kept under an `Idempotency-Key`, to be given again. */
import * as z from "zod";
import { HttpFault } from "../problem.ts";

/** A request with a key. */
export interface KeyedRequest {
  readonly key: string;
  readonly commandType: string;
  /** SHA-256 of the query and the body. A key that comes back with another one is a mistake. */
  readonly request: string;
}

/**
 * The command type of the rows of `Idempotency-Key`s. Requests cannot name such types: one caller's
 * key and answer are not for another to read, to complete or to block.
 */
export function typeOf(method: string, path: string): string {
  return `${method} ${path}`;
}

/** Whether a command type is one of those. */
export function isOwnType(commandType: string): boolean {
  return /^[A-Z]+ \/v1\//.test(commandType);
}

/** @throws INVALID_ARGUMENT for guards, changes or queries about such rows. */
export function requireNoneOwn(place: string, members: readonly object[]): void {
  for (const [index, member] of members.entries()) {
    const commandType: unknown = Reflect.get(member, "commandType");
    if (typeof commandType !== "string" || !isOwnType(commandType)) continue;
    const field = `${place}.${index}.commandType`;
    throw new HttpFault("INVALID_ARGUMENT", `${field}: ${OWN_TYPE}`, { field });
  }
}

export const OWN_TYPE = "is the API's own, for Idempotency-Keys";

/** Headers that belong to an answer, and so are kept with it. */
const KEPT_HEADERS = ["Content-Type", "ETag", "Location"] as const;

/**
 * What may be an answer of ours. Any caller with the scope `write` may have stored something else
 * under the key.
 */
const kept = z
  .object({
    request: z.string(),
    status: z.int().min(200).max(204),
    headers: z.partialRecord(z.enum(KEPT_HEADERS), z.string().regex(/^[\x20-\x7e]*$/)),
    body: z.string().nullable(),
  })
  .refine(({ status, body }) => status < 204 || body === null);
export type Kept = z.infer<typeof kept>;

/** 1,900,000 bytes fit into a row; this leaves room for its other columns. */
export const ANSWER_BYTES_MAX = 1_800_000;

/** @throws INVALID_ARGUMENT for something else that is stored under the key. */
export function keptAs<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const message = "This Idempotency-Key is used for something else";
  throw new HttpFault("INVALID_ARGUMENT", message, { field: "Idempotency-Key" });
}

export function keptOf(value: unknown): Kept {
  return keptAs(kept, value);
}

/** The answer, as it is kept. The response itself can still be sent. */
export async function answerOf(response: Response, request: string): Promise<Kept> {
  const body = response.body === null ? null : await response.clone().text();
  const headers = KEPT_HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { request, status: response.status, headers: Object.fromEntries(headers), body };
}

/** @throws INVALID_ARGUMENT for another request than the one that was answered. */
export function requireSame(request: string, now: string): void {
  if (request === now) return;
  throw new HttpFault(
    "INVALID_ARGUMENT",
    "This Idempotency-Key was used for a request with another body",
    { field: "Idempotency-Key" },
  );
}

/** The kept answer as a response. */
export function replayed({ request, status, headers, body }: Kept, now: string): Response {
  requireSame(request, now);
  return new Response(body, { status, headers: { ...headers, "Idempotent-Replayed": "true" } });
}

export function inUse(): HttpFault {
  const message = "The first request with this Idempotency-Key is under way";
  return new HttpFault("IDEMPOTENCY_KEY_IN_USE", message);
}
