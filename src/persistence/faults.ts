/** Errors that several methods throw, and how one of a code is recognised. */
import { type ErrorCode, isServiceError, ServiceError } from "../contract/index.ts";

export function notFound(entity: string, id: string, name = `${entity} ${id}`): ServiceError {
  return new ServiceError("NOT_FOUND", `${name} not found`, { entity, id });
}

export function alreadyExists(entity: string, id: string): ServiceError {
  return new ServiceError("ALREADY_EXISTS", `${entity} ${id} exists already`, { entity, id });
}

export function hasCode(error: unknown, code: ErrorCode): error is ServiceError {
  return isServiceError(error) && error.code === code;
}

export function isTooLarge(error: unknown): boolean {
  return hasCode(error, "PAYLOAD_TOO_LARGE");
}
