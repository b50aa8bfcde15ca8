/** What the tests of definitions share. */
import { ServiceError } from "../../src/contract/index.ts";
import type { StandardSchema } from "../../src/engine/index.ts";
import type { SchemaIssue } from "../../src/engine/standard-schema.ts";

/** The error with which the call is refused. */
export async function refusalOf(call: () => unknown): Promise<ServiceError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error("It was taken.");
}

/**
 * A schema of no library: takes what `check` finds nothing wrong with, as it is. It answers at once,
 * or later, as the standard leaves to a library.
 */
export function handWritten<T>(
  check: (value: unknown) => readonly SchemaIssue[],
  answers: "at once" | "later" = "at once",
): StandardSchema<T, T> {
  const validate = (value: unknown) => {
    const issues = check(value);
    return issues.length > 0 ? { issues } : { value: value as T };
  };
  return {
    "~standard": {
      version: 1,
      vendor: "hand-written",
      validate: answers === "later" ? async (value) => validate(value) : validate,
    },
  };
}
