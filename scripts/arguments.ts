/** What `npm start` was asked to do. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Complaint } from "./complaint.ts";
import { DEFAULT_STATE } from "./wrangler.ts";

export interface StartArguments {
  readonly files: readonly string[];
  readonly servicePort: number;
  readonly appPort: number;
  /** Where the local database is kept. */
  readonly stateDir: string;
  /** Keep both Workers running when the report is done. */
  readonly keep: boolean;
  readonly help: boolean;
}

export const USAGE = `Usage: npm start -- [options] [FILE...]

Starts the service and the example app, lets them work on Markdown documents (by default the
READMEs of installed packages), shows the progress and prints the report.

  --keep                keep both running when the report is done, until Ctrl-C
  --service-port PORT   default 8787, or the environment's SERVICE_PORT
  --app-port PORT       default 8788, or the environment's APP_PORT
  --state DIR           where the local database is kept, default .wrangler/state
  --help                print this`;

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Complaint for an argument that it does not understand. */
export function readArguments(args: readonly string[], environment: Environment): StartArguments {
  const { values, positionals } = parse(args);
  const [service, app] = [values["service-port"], values["app-port"]];
  const { SERVICE_PORT, APP_PORT } = environment;
  const servicePort = firstPort({ "--service-port": service, SERVICE_PORT }) ?? 8787;
  const appPort = firstPort({ "--app-port": app, APP_PORT }) ?? 8788;
  if (servicePort === appPort) {
    throw new Complaint(`The service and the app cannot both have port ${appPort}.`);
  }
  return {
    files: positionals,
    servicePort,
    appPort,
    stateDir: readFolder("--state", values.state ?? DEFAULT_STATE),
    keep: values.keep ?? false,
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        "service-port": { type: "string" },
        "app-port": { type: "string" },
        state: { type: "string" },
        keep: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Complaint(`${message}\n\n${USAGE}`);
  }
}

/** The port of the first variable that is set. */
function firstPort(told: Environment): number | undefined {
  for (const [name, text] of Object.entries(told)) {
    if (text !== undefined) return readPort(name, text);
  }
  return undefined;
}

/** Throws a `Complaint` for anything but a port. */
export function readPort(name: string, text: string): number {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new Complaint(`${name}: "${text}" is no port, which is a number from 1 to 65535.`);
}

/** Throws a `Complaint` for a flag without a text: it would stand for this folder. */
export function readFolder(flag: string, text: string, from = process.cwd()): string {
  if (text !== "") return resolve(from, text);
  throw new Complaint(`${flag} names no folder.`);
}
