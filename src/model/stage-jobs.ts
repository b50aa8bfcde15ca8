/** Jobs that take runs of typed workflows through their stages. Pure. */
import { decodeJson } from "./json.ts";

/**
 * The tries that stages had before the run was run again, by number: of those that it had come to then
 * and has to come to once more. The job that takes the run on carries them, and so does each of a group,
 * for which ids would be too long.
 */
export type Tried = Readonly<Record<number, number>>;

/** How the payload of a job begins that {@link stageJob} made. */
export const STAGE_PAYLOAD = '{"~stage":1';

/** The payload of the jobs that take a run through its stages: by it the consumer knows them. */
export function stageJob(tried: Tried): string {
  const more = Object.keys(tried).length === 0 ? "" : `,"tried":${JSON.stringify(tried)}`;
  return `${STAGE_PAYLOAD}${more}}`;
}

/** The tries that such a payload carries. */
export function triedIn(payload: string): Tried {
  const value: unknown = decodeJson(payload);
  if (typeof value !== "object" || value === null || !("tried" in value)) return {};
  const { tried } = value;
  if (typeof tried !== "object" || tried === null) return {};
  return Object.fromEntries(Object.entries(tried).filter(([, tries]) => typeof tries === "number"));
}

/** Whether a job with this payload takes a run through its stages. */
export function isStageJob(payload: unknown): boolean {
  return (
    typeof payload === "object" &&
    payload !== null &&
    "~stage" in payload &&
    payload["~stage"] === 1
  );
}

/** As {@link isStageJob}, of a job's row. */
export function takesStages({ payload }: { readonly payload: string }): boolean {
  return isStageJob(decodeJson(payload));
}

/** How the metadata of a run begin that a typed workflow started. */
export const TYPED_METADATA = '{"engine":';

/**
 * The jobs of paused runs are suspended until an instant of this day, which no caller is likely to name.
 * They lie spread over it, so that a sweep that looks at a few of them, from anywhere on, comes to all.
 */
export const PARKED_FROM = Date.UTC(9999, 6, 1);
const DAY_MS = 86_400_000;
export const PARKED_BEFORE = PARKED_FROM + DAY_MS;

/** The instant until which a job is suspended whose run is found paused at `at`. */
export function parkedUntil(at: number): number {
  return PARKED_FROM + (Math.abs(at) % DAY_MS);
}

/** Whether a suspended job is one of a paused run. */
export function isParked({ nextPollAt }: { readonly nextPollAt: number | null }): boolean {
  return nextPollAt !== null && nextPollAt >= PARKED_FROM && nextPollAt < PARKED_BEFORE;
}
