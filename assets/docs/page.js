/** Shows the API's document in `/docs`. Wherever the app is mounted, the document and the API are beside the folder of this file. */
const base = new URL("../", import.meta.url);
const token = document.querySelector("#token");

const response = await fetch(new URL("openapi.json", base));
const spec = await response.json();
spec.servers = [{ url: base.href.replace(/\/$/, "") }];
// The page has its own field for the token, which is all that a person can enter: Access knows the browser by its cookie.
delete spec.components.securitySchemes;
for (const methods of Object.values(spec.paths)) {
  for (const operation of Object.values(methods)) delete operation.security;
}

globalThis.SwaggerUIBundle({
  dom_id: "#reader",
  spec,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  filter: true,
  // Nobody outside is told anything.
  validatorUrl: null,
  requestInterceptor(request) {
    if (token.value !== "") request.headers.Authorization = `Bearer ${token.value}`;
    return request;
  },
});
