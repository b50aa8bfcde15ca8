/** The page that shows the OpenAPI document. */

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
<form><label>Token <input id="token" type="password" autocomplete="off" autofocus></label> (docs/http.md tells how to make one; it stays in this page)</form>
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
