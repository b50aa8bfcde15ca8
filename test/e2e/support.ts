/** Real `wrangler dev` processes for the tests of one file, on a state and ports of their own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevOptions, DevProcesses, freePort } from "../../scripts/dev-processes.ts";

export interface Dev {
  readonly processes: DevProcesses;
  readonly stateDir: string;
  /** Stops what runs, and forgets the state. */
  stop(): Promise<void>;
}

/** The tables are migrated and the service is started, and the app too if that is asked for. */
export async function startDev(
  options: Omit<DevOptions, "stateDir" | "servicePort" | "appPort">,
  { app }: { readonly app: boolean },
): Promise<Dev> {
  const stateDir = await mkdtemp(join(tmpdir(), "workflow-engine-state-"));
  const [servicePort, appPort] = [await freePort(), await freePort()];
  const processes = await DevProcesses.create({ stateDir, servicePort, appPort, ...options });
  const stop = async () => {
    await processes.stop();
    await rm(stateDir, { recursive: true, force: true });
  };
  try {
    await processes.migrate();
    await processes.startService();
    if (app) await processes.startApp();
  } catch (error) {
    await stop();
    throw error;
  }
  return { processes, stateDir, stop };
}
