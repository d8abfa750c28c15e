import { randomUUID } from 'node:crypto';
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import { count } from '../harness/store.ts';
import { copyRows } from '../harness/copy-rows.ts';
import { withoutAhead, type Contestant, type Handle, type Payload, type Role, type Setting } from './contestant.ts';

const WORKERS: Record<Exclude<Setting, 'ahead'>, number> = { five: 5, best: 200, quick: 5 };
const POLLING_MS = 2;
const POOL_SIZE = 20;

const NAME = 'bench';
const WORKFLOW = 'no-op';
const VERSION = '1';
const silent = { info: () => undefined, debug: () => undefined, warn: () => undefined, error: console.error };

export default class Dbos implements Contestant {
  private url = '';
  private pool!: pg.Pool;
  private client: DBOSClient | undefined;
  private handle: Handle = () => undefined;
  private launched = false;

  async connect(url: string, role: Role): Promise<void> {
    this.url = url;
    this.pool = new pg.Pool({ connectionString: url, max: 1 });
    DBOS.registerWorkflow(async (payload: Payload) => this.handle(payload), { name: WORKFLOW });
    if (role === 'worker') return;
    await DBOS.migrate(url);
    this.client = await DBOSClient.create({
      systemDatabaseUrl: url,
      systemDatabasePoolSize: 10,
      applicationName: NAME,
      logger: silent,
    });
  }

  enqueue(payload: Payload): Promise<unknown> {
    return this.client!.enqueue({ queueName: NAME, workflowName: WORKFLOW, appVersion: VERSION }, payload);
  }

  /** It has no call for many. */
  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return Promise.all(payloads.map((payload) => this.enqueue(payload)));
  }

  async startWorkers(setting: Setting, handle: Handle): Promise<void> {
    this.handle = handle;
    DBOS.setConfig({
      name: NAME,
      systemDatabaseUrl: this.url,
      systemDatabasePoolSize: POOL_SIZE,
      applicationVersion: VERSION,
      executorID: randomUUID(),
      logger: silent,
    });
    await DBOS.launch();
    this.launched = true;
    const limits = { workerConcurrency: WORKERS[withoutAhead(setting)], minPollingIntervalMs: POLLING_MS };
    await DBOS.registerQueue(NAME, { ...limits, onConflict: 'always_update' });
  }

  async stopWorkers(): Promise<void> {
    if (this.launched) await DBOS.shutdown({ workflowCompletionTimeoutMS: 10_000 });
    this.launched = false;
  }

  unfinished(): Promise<number> {
    return count(this.pool, "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')");
  }

  finished(): Promise<number> {
    return count(this.pool, "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'");
  }

  async addFinished(copies: number): Promise<void> {
    const one = "workflow_uuid = (SELECT min(workflow_uuid) FROM dbos.workflow_status WHERE status = 'SUCCESS')";
    for (const table of ['workflow_input', 'workflow_output', 'workflow_status']) {
      await copyRows(this.url, `dbos.${table}`, one, copies, { workflow_uuid: "'copy-' || n" });
    }
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.client?.destroy();
    await this.pool.end();
  }
}
