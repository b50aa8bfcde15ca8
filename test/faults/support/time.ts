import { vi } from "vitest";

/** The instant at which every scenario's call is made. */
export const NOW = Date.UTC(2026, 2, 4, 5, 6, 7, 89);
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

/** Pauses before a retry take no time. Deadlines, which are longer, stay as they are. */
export function withoutPauses(): void {
  const real = globalThis.setTimeout;
  vi.stubGlobal("setTimeout", (callback: () => void, delay = 0) =>
    real(callback, delay > 1_000 ? delay : 0),
  );
}
