/**
 * What the requests of an isolate may take of its memory together. It has 128 MB, and running out
 * of them ends every request that is under way. Most requests are small, and many of them go on at
 * once. A large body or answer takes many times its size while it is worked on, so large ones go
 * one after the other. test/e2e/memory.e2e.test.ts measures that this is enough.
 */
import type { CommitOutcome, Commit, Settlement, Store } from "../changes/index.ts";
import type { Query, ResultsOf } from "../queries/index.ts";
import { isServiceError } from "../contract/index.ts";
import { Budget, type Holding } from "./budget.ts";

/** A body of more bytes is large. */
export const SMALL_BODY_BYTES = 64_000;
/** An answer with more bytes from the database is large. */
export const SMALL_ANSWER_BYTES = 128_000;
/**
 * How long an answer may take to be read, and a millisecond more for every SENT_BYTES_PER_MS bytes.
 * No other large answer can begin before.
 */
const SENDING_MS = 5_000;
const SENT_BYTES_PER_MS = 1_000;
const PIECE_BYTES = 65_536;

/** Longer than any request is worked on: D1 has 20 seconds for a call, a coordinator 40. */
const WORK_MS = 120_000;

/** Bytes of bodies that have arrived and are not parsed yet. */
export const BODIES = new Budget({
  size: 16_000_000,
  share: 13_000_000,
  waitMs: 2_000,
  waitingMax: 200,
});
const SMALL = new Budget({ size: 32, share: Infinity, waitMs: 10_000, waitingMax: 500 });
const LARGE = new Budget({ size: 1, share: Infinity, waitMs: 10_000, waitingMax: 50 });

/** What one request takes. */
export class Room {
  readonly #owner: string;
  #place: Holding | null = null;
  #large: Holding | null = null;
  /** What queries may answer while the room is large. */
  answerBytesMax = SMALL_ANSWER_BYTES;

  constructor(owner: string) {
    this.#owner = owner;
  }

  /** @throws OVERLOADED when there is no room in time. */
  async enter(bodyBytes: number, answerBytesMax: number): Promise<void> {
    this.answerBytesMax = answerBytesMax;
    this.#place = await SMALL.take(this.#owner, 1, WORK_MS);
    if (bodyBytes > SMALL_BODY_BYTES) await this.enlarge();
  }

  /** @throws OVERLOADED when the turn does not come in time. */
  async enlarge(): Promise<void> {
    this.#large ??= await LARGE.take(this.#owner, 1, WORK_MS);
  }

  get isLarge(): boolean {
    return this.#large !== null;
  }

  leave(): void {
    this.#place?.release();
    this.#large?.release();
  }

  /** The answer. If it is large, the room stays taken until a slow reader has read it. */
  async leaveWith(response: Response): Promise<Response> {
    const large = this.#large;
    if (large === null || response.body === null) return response;
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.byteLength <= SMALL_ANSWER_BYTES) return new Response(bytes, response);
    this.#large = null;
    return new Response(inPieces(bytes, large), response);
  }
}

/** The bytes as they are read. What is not read in time is lost. */
function inPieces(bytes: Uint8Array, holding: Holding): ReadableStream<Uint8Array> {
  let sent = 0;
  let rest: Uint8Array | null = bytes;
  let timer: ReturnType<typeof setTimeout>;
  const end = () => {
    clearTimeout(timer);
    rest = null;
    holding.release();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const late = () => {
          end();
          controller.error(new Error("The answer was not read in time"));
        };
        timer = setTimeout(late, SENDING_MS + bytes.byteLength / SENT_BYTES_PER_MS);
      },
      pull(controller) {
        const piece = rest?.slice(sent, sent + PIECE_BYTES);
        if (piece === undefined) return;
        sent += piece.byteLength;
        controller.enqueue(piece);
        if (sent < bytes.byteLength) return;
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** A store whose answers are small, or wait for their turn to be large. */
export class RoomyStore implements Store {
  readonly #open: (answerBytesMax: number) => Store;
  readonly #small: Store;
  readonly #room: Room;

  /** @param open the store, with a bound for what one call answers. */
  constructor(open: (answerBytesMax: number) => Store, room: Room) {
    this.#open = open;
    this.#small = open(SMALL_ANSWER_BYTES);
    this.#room = room;
  }

  async now(): Promise<number> {
    return this.#small.now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const store = this.#store();
    try {
      return await store.read(queries);
    } catch (error) {
      const larger = await this.#larger(store, error);
      return larger.read(queries);
    }
  }

  /** A commit whose answer is too large is not applied, so it can be attempted again. */
  async attempt(commit: Commit): Promise<CommitOutcome> {
    const store = this.#store();
    try {
      return await store.attempt(commit);
    } catch (error) {
      const larger = await this.#larger(store, error);
      return larger.attempt(commit);
    }
  }

  async settle(commit: Commit): Promise<Settlement> {
    return this.#small.settle(commit);
  }

  /** A store that answers as much as the request has room for. */
  #store(): Store {
    return this.#room.isLarge ? this.#open(this.#room.answerBytesMax) : this.#small;
  }

  /**
   * A store with more room, as soon as some is free.
   * @throws the error, unless it says that an answer was too large for the small store.
   */
  async #larger(asked: Store, error: unknown): Promise<Store> {
    const tooLarge = isServiceError(error) && error.details["field"] === "answer";
    if (!tooLarge || asked !== this.#small) throw error;
    await this.#room.enlarge();
    return this.#open(this.#room.answerBytesMax);
  }
}
