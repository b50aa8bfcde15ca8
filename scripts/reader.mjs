/**
 * Puts the reader of the API's document, Swagger UI, beside the page that uses it. The Worker serves
 * the folder as static assets, so that `/docs` loads nothing from other servers. This runs after
 * `npm ci`, before packing, and before the tests.
 */
import { copyFileSync } from "node:fs";

const FILES = [
  ["swagger-ui-bundle.js", "swagger-ui-bundle.js"],
  ["swagger-ui-bundle.js.LICENSE.txt", "swagger-ui-bundle.js.LICENSE.txt"],
  ["swagger-ui.css", "swagger-ui.css"],
  ["LICENSE", "swagger-ui.LICENSE.txt"],
  ["NOTICE", "swagger-ui.NOTICE.txt"],
];

for (const [source, target] of FILES) {
  copyFileSync(
    new URL(`../node_modules/swagger-ui-dist/${source}`, import.meta.url),
    new URL(`../assets/docs/${target}`, import.meta.url),
  );
}
