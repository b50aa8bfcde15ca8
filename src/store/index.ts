export { D1Store } from "./store.ts";
