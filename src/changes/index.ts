export * from "./change.ts";
export * from "./commit.ts";
export * from "./guard.ts";
export * from "./wire.ts";
