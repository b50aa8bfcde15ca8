/** What everything that arrives is checked against. Clients, which must be small, do not import it. */
export { change } from "./change.ts";
export { commit, commitIdField } from "./commit.ts";
export { artifactTypeField, idField, logLevelField, statusField } from "./fields.ts";
export { guard } from "./guard.ts";
export { query, queryList } from "./query.ts";
export * from "./rows.ts";
