import { describe, expect, it } from "vitest";
import { reasonOf } from "../../src/engine/thrown.ts";

/** An error that is its own cause. */
function roundabout(): Error {
  const error = new Error("round");
  error.cause = error;
  return error;
}

function errors(...messages: string[]): Error[] {
  return messages.map((message) => new Error(message));
}

describe("the reason of a failure", () => {
  it.each<[string, unknown, string]>([
    ["an object", { code: 42 }, 'It threw what is no error: {"code":42}'],
    ["no words in its message", { message: { a: 1 } }, 'It threw what is no error: {"message"'],
    [
      "one cause",
      new Error("no answer", { cause: new Error("reset") }),
      "no answer (cause: reset)",
    ],
    ["a cause that it repeats", new Error("no: reset", { cause: new Error("reset") }), "no: reset"],
    ["itself for its cause", roundabout(), "round"],
    ["errors and words", new AggregateError(errors("a"), "all failed"), "all failed"],
    ["errors alone", new AggregateError(errors("a", "b", "c", "d")), "a; b; c; and 1 more"],
  ])("says what it has: %s", (_, thrown, reason) => {
    expect(reasonOf(thrown).slice(0, reason.length)).toBe(reason);
  });

  it("names causes of causes, as far as three", () => {
    const chain = ["d", "c", "b", "a"].reduce<unknown>(
      (cause, message) => new Error(message, { cause }),
      new Error("e"),
    );
    expect(reasonOf(chain)).toBe("a (cause: b (cause: c (cause: d)))");
  });

  it("is there where members throw", () => {
    const thrown = {
      get message(): string {
        throw new Error("no");
      },
    };
    expect(reasonOf(thrown)).toBe("It threw what is no error: [object Object]");
  });
});
