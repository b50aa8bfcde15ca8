/** Shows the API's document in `/docs`. Wherever the app is mounted, the document and the API are beside the folder of this file. */
const base = new URL("../", import.meta.url);

const response = await fetch(new URL("openapi.json", base));
const spec = await response.json();
spec.servers = [{ url: base.href.replace(/\/$/, "") }];
// What a person can enter is a token: Access knows the browser by its cookie.
const { bearer } = spec.components.securitySchemes;
spec.components.securitySchemes = { bearer };
for (const methods of Object.values(spec.paths)) {
  for (const operation of Object.values(methods)) {
    operation.security &&= operation.security.filter((scheme) => "bearer" in scheme);
  }
}

const token = document.querySelector("#token");
const ui = globalThis.SwaggerUIBundle({
  dom_id: "#reader",
  spec,
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  filter: true,
  // Nobody outside is told anything.
  validatorUrl: null,
  // The page has a field for the token.
  plugins: [() => ({ wrapComponents: { authorizeBtn: () => () => null } })],
  onComplete: authorize,
});

function authorize() {
  if (token.value === "") ui.authActions.logout(["bearer"]);
  else ui.preauthorizeApiKey("bearer", token.value);
}

token.addEventListener("input", authorize);
