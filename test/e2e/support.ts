/** Real `wrangler dev` processes for the tests of one file, on a state and ports of their own. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
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

/** A bare connection on which a run is watched, whose beginning has come: the test reads what follows, or does not. */
export async function watchBarely(
  { serviceUrl }: DevProcesses,
  runId: string,
  { token, webSocket }: { readonly token: string; readonly webSocket: boolean },
): Promise<Socket> {
  const { hostname, port, host } = new URL(serviceUrl);
  const socket = connect(Number(port), hostname);
  // It ends when the test does, or the service.
  socket.on("error", () => {});
  const key = randomBytes(16).toString("base64");
  const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`;
  socket.write(
    `GET /v1/runs/${runId}/events HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n${webSocket ? upgrade : ""}\r\n`,
  );
  const [head] = (await once(socket, "data")) as [Buffer];
  socket.pause();
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head.toString("latin1"))?.[1]);
  if (status !== (webSocket ? 101 : 200)) throw new Error(`not a watch: ${status}`);
  return socket;
}
