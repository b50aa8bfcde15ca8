/** What a client makes of `Retry-After`: how long it waits before what was turned away is sent again. */
import { describe, expect, it } from "vitest";
import { waitMs } from "../../src/client/http-faults.ts";

describe("what was turned away", () => {
  it.each(["31", "86400", "9".repeat(400), "Fri, 31 Dec 2100 23:59:59 GMT"])(
    "until %s waits for half a minute at most, and a fifth of it",
    (value) => {
      const headers = new Headers({ "Retry-After": value });
      for (let n = 0; n < 50; n += 1) {
        const ms = waitMs({ headers }, 1);
        expect(ms).toBeGreaterThanOrEqual(30_000);
        expect(ms).toBeLessThanOrEqual(36_000);
      }
    },
  );

  it.each([
    "",
    " ",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    "soon",
    "NaN",
    "Infinity",
    "3, 5",
    "1 s",
    // Dates of no day, of another form than may be sent, with a wrong day of the week, without a zone.
    "Fri, 99 Foo 2100 23:59:59 GMT",
    "Sun, 30 Feb 2100 00:00:00 GMT",
    "Fri, 31 Dec 2100 24:00:00 GMT",
    "Fri, 31 Dec 2100 23:59:60 GMT",
    "Mon, 31 Dec 2100 23:59:59 GMT",
    "Fri, 31 Dec 2100 23:59:59",
    "Friday, 31-Dec-00 23:59:59 GMT",
    "2100-12-31T23:59:59Z",
    // Over, so that nothing is asked for.
    "Thu, 01 Jan 1970 00:00:00 GMT",
  ])("until %j, which cannot be read or is over, waits as if nothing were asked for", (value) => {
    const headers = new Headers({ "Retry-After": value });
    for (const [tries, least] of [
      [1, 500],
      [2, 1_000],
      [3, 2_000],
    ] as const) {
      const ms = waitMs({ headers }, tries);
      expect(ms).toBeGreaterThanOrEqual(least);
      expect(ms).toBeLessThanOrEqual(least * 1.2);
    }
  });

  it.each(["0", "00", "Sat, 28 Nov 2026 12:00:01 GMT"])(
    "until %s, again and again, waits longer each time all the same",
    (value) => {
      const headers = new Headers({ "Retry-After": value, Date: "Sat, 28 Nov 2026 12:00:00 GMT" });
      expect(waitMs({ headers }, 1)).toBeLessThanOrEqual(1_200);
      for (const [tries, least] of [
        [2, 500],
        [4, 2_000],
        [9, 30_000],
      ] as const) {
        const ms = waitMs({ headers }, tries);
        expect(ms).toBeGreaterThanOrEqual(least);
        expect(ms).toBeLessThanOrEqual(Math.max(least, 1_000) * 1.2);
      }
    },
  );

  it("until an instant goes by this machine's clock where the other's cannot be read", () => {
    for (const told of ["", "yesterday", "Xxx, 99 Foo 2100 23:59:59 GMT"]) {
      const inTen = new Date(Date.now() + 10_000).toUTCString();
      const ms = waitMs({ headers: new Headers({ Date: told, "Retry-After": inTen }) }, 1);
      expect(ms).toBeGreaterThan(7_000);
      expect(ms).toBeLessThan(12_001);
    }
  });
});
