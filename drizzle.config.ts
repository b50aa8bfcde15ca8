import { defineConfig } from "drizzle-kit";

/** `npm run db:generate -- --name verb_object` drafts the next migration from the schema. */
export default defineConfig({
  dialect: "sqlite",
  schema: ["./schema/tables.ts", "./schema/side-tables.ts"],
  out: "./migrations",
});
