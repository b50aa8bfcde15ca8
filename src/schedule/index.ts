export { sweep, type SweepOptions, type SweepReport, type SweepStep } from "./sweep.ts";
