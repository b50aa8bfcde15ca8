export { sweep, type SweepReport, type SweepStep } from "./sweep.ts";
