export * from "./query.ts";
export * from "./run-search-shape.ts";
