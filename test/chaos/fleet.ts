import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LossyProxy } from '../support/lossy-proxy.js';
import { type Exit, newFolder, ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';

export const LEASE_SECONDS = 3;

export interface FleetOptions {
  /** Each instance has a way of its own to the database, on which a statement can be held up. */
  readonly proxied?: boolean;
  /** Another program than the built service. */
  readonly main?: string;
}

/** Real service processes on one database; each has a data folder of its own, by which its processes are known. */
export class Fleet {
  readonly services: ServiceProcess[] = [];
  /** When which process was killed, in milliseconds of the epoch. */
  readonly killedAt = new Map<number, number>();
  slowestEndMs = 0;
  private readonly ways = new Map<ServiceProcess, LossyProxy>();

  constructor(
    private readonly databaseUrl: string,
    private readonly env: Readonly<Record<string, string>> = {},
    private readonly how: FleetOptions = {},
  ) {}

  /** The way of an instance to the database. */
  wayOf(service: ServiceProcess): LossyProxy {
    const way = this.ways.get(service);
    if (!way) throw new Error('this fleet is not proxied, or the service has been killed');
    return way;
  }

  async grow(count = 1, env: Readonly<Record<string, string>> = {}): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, async () => {
        const way = this.how.proxied ? new LossyProxy(new URL(this.databaseUrl)) : undefined;
        const service = this.launch({ ...env, ...(way && { DATABASE_URL: await way.listen() }) });
        if (way) this.ways.set(service, way);
        await service.listening();
        this.services.push(service);
      }),
    );
  }

  /** One that takes submissions and runs nothing: no step can end it. */
  async startApi(): Promise<ServiceProcess> {
    const service = this.launch({ ROLE: 'api' });
    await service.listening();
    return service;
  }

  /** SIGKILL; resolves when no process of its steps is left, and another instance has taken its place. */
  async killAndReplace(service: ServiceProcess): Promise<void> {
    this.services.splice(this.services.indexOf(service), 1);
    service.signal('SIGKILL');
    const killed = performance.now();
    this.killedAt.set(service.pid, Date.now());
    const replaced = this.grow();
    await until(
      () => `the steps of the killed service have ended: ${stepsOf(service).join()}`,
      () => stepsOf(service).length === 0,
    );
    this.slowestEndMs = Math.max(this.slowestEndMs, performance.now() - killed);
    await this.ways.get(service)?.close();
    this.ways.delete(service);
    await replaced;
  }

  /** As whoever rolls out does it: another has its place, no new requests come, those under way are answered; SIGTERM. */
  async replace(service: ServiceProcess): Promise<Exit> {
    await this.grow();
    this.services.splice(this.services.indexOf(service), 1);
    await until('its requests are answered', () => service.requestsUnderWay === 0);
    return service.stop();
  }

  /** New instances for those that have ended. */
  async replaceDead(): Promise<void> {
    const dead = this.services.filter((service) => !service.running);
    for (const service of dead) this.services.splice(this.services.indexOf(service), 1);
    await this.grow(dead.length);
  }

  private launch(env: Readonly<Record<string, string>> = {}): ServiceProcess {
    const dataDir = newFolder();
    const service = ServiceProcess.launch({
      dataDir,
      ...(this.how.main && { main: this.how.main }),
      env: {
        DATABASE_URL: this.databaseUrl,
        QUEUE_LEASE_SECONDS: String(LEASE_SECONDS),
        QUEUE_WORKERS: '4',
        STEP_KILL_GRACE_SECONDS: '0.5',
        ...this.env,
        ...env,
      },
    });
    // For steps that are to end their service.
    writeFileSync(join(dataDir, 'service.pid'), String(service.pid));
    return service;
  }
}

/** The processes of a service's steps, as the kernel knows them now: those whose folder is one of its workspaces. */
export function stepsOf({ dataDir }: ServiceProcess): number[] {
  const workspaces = join(dataDir, 'workspaces/');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        if (readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')) return false;
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(workspaces);
      } catch {
        return false; // It has ended meanwhile.
      }
    })
    .map(Number);
}
