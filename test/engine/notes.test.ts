/** What the data of a log line keeps of errors. */
import { describe, expect, it } from "vitest";
import { Notes } from "../../src/engine/notes.ts";

function logged(data: unknown): unknown {
  const notes = new Notes();
  notes.log("said", data);
  return JSON.parse(notes.taken().logs[0]?.data ?? "null");
}

describe("the data of a log line", () => {
  it("tells of an error its name, message, stack and causes", () => {
    const error = new TypeError("bad", { cause: new Error("worse", { cause: "no error" }) });
    const told = {
      name: "TypeError",
      message: "bad",
      stack: error.stack,
      cause: { name: "Error", message: "worse", stack: expect.any(String) },
    };
    expect(logged(error)).toEqual(told);
    expect(logged({ error, at: 1 })).toEqual({ error: told, at: 1 });
  });

  it("ends where errors are the causes of each other", () => {
    const [a, b] = [new Error("a"), new Error("b")];
    a.cause = b;
    b.cause = a;
    expect(logged({ error: a })).toMatchObject({ error: { cause: { cause: { cause: {} } } } });
  });

  it("is kept as it is without an error", () => {
    expect(logged({ at: new Date(0), list: [1] })).toEqual({
      at: "1970-01-01T00:00:00.000Z",
      list: [1],
    });
    expect(logged([1, "x"])).toEqual([1, "x"]);
    expect(logged("x")).toBe("x");
    expect(logged(null)).toBeNull();
  });
});
