/** The OpenAPI document, made from the routes, and the page that shows it. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { ACCESS_HEADER } from "./access.ts";
import { HEADERS, PARAMETERS } from "./operation.ts";
import { exampleOf, ANSWERED_CODES } from "./problem.ts";
import { problemKind } from "./problem-kinds.ts";
import { VERSION } from "../version.ts";
import type { AppEnv } from "./env.ts";

const ABOUT = `Multi-stage workflows on Cloudflare with no server: runs, stages, jobs, outbox and more in D1, with real transactions.

Each operation names the scope that its token needs; \`admin\` includes the others, and \`write\` includes \`read\`. Faults are problem
details (RFC 9457); the schema \`Problem\` lists their codes. Lists page by \`cursor\`.`;

const DOCUMENT = {
  openapi: "3.1.0",
  info: {
    title: "workflow-engine-cloudflare",
    version: VERSION,
    description: ABOUT,
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: "/", description: "This deployment" }],
  tags: [
    { name: "runs", description: "One execution of a workflow each." },
    { name: "stages", description: "The steps of runs." },
    { name: "jobs", description: "Work that waits for a worker, and its leases." },
    { name: "logs", description: "What runs and stages report while they work." },
    { name: "artifacts", description: "What stages make, by key." },
    { name: "annotations", description: "Statements about a run, a stage or a call; append-only." },
    { name: "outbox", description: "Events that are to be published, in the order of commits." },
    { name: "idempotency keys", description: "For commands of your own that must happen once." },
    { name: "AI calls", description: "The ledger of calls of models, and what they cost." },
    { name: "commits", description: "Transactions: guards and changes as data." },
    { name: "operations", description: "To operate the service." },
  ],
};

/** The files of `assets/docs` that the page needs. The Worker answers with no others. */
export const DOCS_FILES = ["page.css", "page.js", "swagger-ui.css", "swagger-ui-bundle.js"];

/**
 * Shows the document with Swagger UI. Its addresses are relative, so that it works wherever the app
 * is mounted. The text in it stays where there are no scripts, or the deployment has no assets.
 */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>workflow-engine-cloudflare API</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="docs/swagger-ui.css"><link rel="stylesheet" href="docs/page.css">
</head>
<body>
<form><label>Token <input id="token" type="password" autocomplete="off" autofocus></label> (<code>npm run token</code> makes one; it stays in this page)</form>
<div id="reader"><p>The API's document is <a href="openapi.json">openapi.json</a>. To show it here, this page needs scripts, and the assets of the deployment (docs/http.md).</p></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script type="module" src="docs/page.js"></script>
</body>
</html>`;

/**
 * A token is typed into the page: so no script but ours runs there, and nothing is sent to anybody
 * else. Swagger UI's icons are data.
 */
export const DOCS_POLICY = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'", "data:"],
  connectSrc: ["'self'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
  frameAncestors: ["'none'"],
};

/** Registers the components to which operations refer by name. */
export function describeComponents({ openAPIRegistry: registry }: OpenAPIHono<AppEnv>): void {
  registry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "A token whose SHA-256 is in the secret API_TOKENS.",
  });
  registry.registerComponent("securitySchemes", "access", {
    type: "apiKey",
    in: "header",
    name: ACCESS_HEADER,
    description:
      "The JWT that Cloudflare Access adds to each request that it lets through, where it is configured.",
  });
  for (const [name, header] of Object.entries(HEADERS)) {
    registry.registerComponent("headers", name, header);
  }
  for (const [name, parameter] of Object.entries(PARAMETERS)) {
    registry.registerComponent("parameters", name, parameter);
  }
  for (const code of ANSWERED_CODES) {
    const { title: summary } = problemKind(code);
    registry.registerComponent("examples", code, { summary, value: exampleOf(code) });
  }
}

/** The document of all routes of the app. */
export function documentOf(app: OpenAPIHono<AppEnv>) {
  return app.getOpenAPI31Document(DOCUMENT);
}
