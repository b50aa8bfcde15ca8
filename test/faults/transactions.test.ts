import { transactionScenarios } from "./scenarios/transactions.ts";
import { describeMatrix } from "./support/matrix.ts";

describeMatrix("transactions", transactionScenarios);
