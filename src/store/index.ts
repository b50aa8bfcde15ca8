export { D1Store, type D1StoreOptions } from "./store.ts";
