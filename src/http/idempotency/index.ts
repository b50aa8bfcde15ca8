/**
 * The header `Idempotency-Key`: a POST has its effect once, and a repeat gets the kept answer.
 * `transactional.ts`: the middleware, and requests that are one transaction. `non-transactional.ts`:
 * requests that act at once, over `store.ts`, whose commits take the key along. `responses.ts`:
 * answers as they are kept. Not here: the keys of callers' own commands
 * (`routes/idempotency-keys.ts`). Imports what `http/` may import.
 */
export { requireNoneOwn } from "./responses.ts";
export { idempotent, takesKey } from "./transactional.ts";
