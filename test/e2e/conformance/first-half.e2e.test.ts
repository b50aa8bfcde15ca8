import { describeHalf } from "./network.ts";

describeHalf(0);
