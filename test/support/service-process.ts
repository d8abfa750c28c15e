import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { isRunning } from './processes.js';
import { until } from './until.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'dist/main.js');
const START_TIMEOUT_MS = 30_000;

/** The admin token of a service that is not told to make its own. */
export const TOKEN = 'e2e-admin-token-0123456789';

export interface ServiceOptions {
  /** Settings; undefined takes one of the defaults here away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A folder of `newFolder()`, for services that share one or follow each other. */
  readonly dataDir?: string;
  /** A process group of its own, for a signal to all of it as Ctrl-C sends. */
  readonly ownGroup?: boolean;
  /** Another program than the built service: one that starts it with modules of its own. */
  readonly main?: string;
}

/** One line of the service's log. */
export type LogLine = Record<string, unknown> & { readonly msg?: string };

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it asked for
export type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; undefined where it is none. */
  readonly json: Json;
}

export interface RequestOptions {
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  /** Instead of the service's own; null sends none. */
  readonly token?: string | null;
  readonly agent?: http.Agent;
}

/** The built service as a process of its own. Whatever it starts and stores is gone after `cleanUp()`. */
export class ServiceProcess {
  readonly dataDir: string;
  readonly exited: Promise<Exit>;
  /** What it wrote to standard output and to standard error. */
  stdout = '';
  stderr = '';
  /** Requests of this process that it has not answered. */
  requestsUnderWay = 0;
  private readonly child: ChildProcess;
  private readonly lines: LogLine[] = [];
  private readonly listeners = new Set<() => void>();
  private readonly givenToken: string | undefined;
  private baseUrl: string | undefined;
  private ended = false;

  private constructor({ env = {}, dataDir = newFolder(), ownGroup = false, main = MAIN }: ServiceOptions) {
    this.dataDir = dataDir;
    const settings: Record<string, string | undefined> = {
      // Nothing else of this process's environment: a developer's settings are not the test's.
      PATH: process.env.PATH,
      TMPDIR: join(dataDir, 'tmp'),
      PORT: '0',
      LOG_FORMAT: 'json',
      DATA_DIR: dataDir,
      ADMIN_TOKEN: TOKEN,
      // Some tests ask as fast as they can.
      RATE_LIMIT_PER_MINUTE: '0',
      // Steps of tests leave their effects anywhere.
      STEP_SANDBOX: 'off',
      GOLDEN_PATHS_FILE: join(ROOT, 'goldenpaths.yaml'),
      ...env,
    };
    this.givenToken = settings.ADMIN_TOKEN;
    // In the data folder, where no .env lies.
    this.child = spawn(process.execPath, ['--enable-source-maps', main], {
      cwd: dataDir,
      env: settings,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: ownGroup,
    });
    guardian.watch(this.pid);
    services.add(this);
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.onLine(line));
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.ended = true;
      guardian.unwatch(this.pid);
      this.listeners.forEach((listener) => listener());
      return { code, signal };
    });
  }

  /** Starts a service and waits until it listens. */
  static async start(options: ServiceOptions = {}): Promise<ServiceProcess> {
    const service = new ServiceProcess(options);
    await service.listening();
    return service;
  }

  /** Starts a service that is not expected to come up. */
  static launch(options: ServiceOptions = {}): ServiceProcess {
    return new ServiceProcess(options);
  }

  get pid(): number {
    return this.child.pid!;
  }

  get url(): string {
    if (this.baseUrl === undefined) throw new Error('the service does not listen');
    return this.baseUrl;
  }

  get token(): string {
    return this.givenToken ?? readFileSync(join(this.dataDir, 'admin-token'), 'utf8').trim();
  }

  get running(): boolean {
    return !this.ended;
  }

  async listening(): Promise<void> {
    const line = await this.waitForLog(({ msg }) => msg?.startsWith('Listening on ') ?? false, START_TIMEOUT_MS);
    this.listensOn(line.url as string);
  }

  /** For a service whose log is not JSON. */
  listensOn(url: string): void {
    this.baseUrl = url;
  }

  /** The log so far; with a text, the lines of this `msg`. */
  logs(msg?: string): LogLine[] {
    return msg === undefined ? [...this.lines] : this.lines.filter((line) => line.msg === msg);
  }

  /** The first line for which the predicate holds (a text: of this `msg`), be it there already or still to come. */
  async waitForLog(wanted: string | ((line: LogLine) => boolean), timeoutMs = 20_000): Promise<LogLine> {
    const matches = typeof wanted === 'string' ? (line: LogLine) => line.msg === wanted : wanted;
    let seen = 0;
    return new Promise((resolve, reject) => {
      const fail = (why: string) => end(() => reject(new Error(`${why}\n${this.stdout}${this.stderr}`)));
      const timer = setTimeout(() => fail(`no such log line within ${timeoutMs} ms: ${String(wanted)}`), timeoutMs);
      const look = () => {
        while (seen < this.lines.length) {
          const line = this.lines[seen++]!;
          if (matches(line)) return end(() => resolve(line));
        }
        if (this.ended) fail(`the service ended without the log line ${String(wanted)}`);
      };
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.listeners.delete(look);
        settle();
      };
      this.listeners.add(look);
      look();
    });
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** To all processes of its group, as a terminal does; only for a service started with `ownGroup`. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }

  /** SIGTERM, and what came of it. */
  async stop(): Promise<Exit> {
    this.signal('SIGTERM');
    return this.exited;
  }

  request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { body, agent, token = this.token } = options;
    const headers: http.OutgoingHttpHeaders = { ...options.headers };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    // The path as it is: the URL class would tidy up what a test sends on purpose.
    const { hostname, port } = new URL(this.url);
    this.requestsUnderWay++;
    return new Promise<Answer>((resolve, reject) => {
      const request = http.request({ hostname, port, method, path, headers, agent: agent ?? false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode!, headers: response.headers, text, json: parsed(text) });
        });
      });
      request.on('error', reject);
      request.end(body);
    }).finally(() => this.requestsUnderWay--);
  }

  get(path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.request('GET', path, options);
  }

  post(path: string, body?: string | Buffer, type?: string, options: RequestOptions = {}): Promise<Answer> {
    const headers = { ...(type === undefined ? {} : { 'Content-Type': type }), ...options.headers };
    return this.request('POST', path, { ...options, headers, body });
  }

  /** Submits a document as JSON; the task's id. */
  async submit(document: object, query = ''): Promise<string> {
    const answer = await this.post(`/api/specs${query}`, JSON.stringify(document), 'application/json');
    if (answer.status !== 202) throw new Error(`the submission was answered with ${answer.status}: ${answer.text}`);
    return answer.json.task_id as string;
  }

  async task(taskId: string): Promise<Json> {
    return (await this.get(`/api/tasks/${taskId}`)).json;
  }

  async waitForTask(taskId: string, status: string, timeoutMs?: number): Promise<Json> {
    let task: Json;
    const reached = async () => (task = await this.task(taskId)).status === status;
    await until(`${taskId} is ${status}`, reached, { timeoutMs }).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(task)}`);
    });
    return task;
  }

  /** The ledger of a task, as `from>to` with who did it. */
  async ledger(taskId: string): Promise<Json[]> {
    return (await this.get(`/api/tasks/${taskId}/events?limit=500`)).json.events as Json[];
  }

  /** Ends it at once where it still runs. */
  async kill(): Promise<void> {
    if (this.ended) return;
    // A stopped process takes even this signal only when it goes on.
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private onLine(line: string): void {
    const value: unknown = parsed(line);
    this.lines.push(typeof value === 'object' && value !== null ? (value as LogLine) : { msg: line });
    this.listeners.forEach((listener) => listener());
  }
}

/** A folder that is gone after `cleanUp()`. Open to all, for the embedded PostgreSQL of a service run by root. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'turnpike-e2e-'));
  guardian.watch(folder);
  folders.add(folder);
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'tmp'));
  return folder;
}

/** The pid of the embedded PostgreSQL under a data folder; undefined where none is running. */
export function postmasterOf(dataDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
    return isRunning(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Ends all services of this file, their databases, and removes their folders. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...services].map((service) => service.kill()));
  services.clear();
  for (const folder of folders) {
    const postmaster = postmasterOf(folder);
    if (postmaster !== undefined) {
      process.kill(postmaster, 'SIGQUIT');
      await until(`PostgreSQL of ${folder} has ended`, () => !isRunning(postmaster));
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    guardian.unwatch(folder);
  }
  folders.clear();
  guardian.dismiss();
}

const services = new Set<ServiceProcess>();
const folders = new Set<string>();

/** Cleans up where this process cannot, since it was killed itself: it lives on until its standard input ends. */
const guardian = (() => {
  const script = `
    declare -A kept
    while read -r sign thing; do
      if [ "$sign" = + ]; then kept[$thing]=1; else unset "kept[$thing]"; fi
    done
    for thing in "\${!kept[@]}"; do [ "$thing" = "\${thing#/}" ] && kill -KILL "$thing"; done
    for thing in "\${!kept[@]}"; do
      [ "$thing" = "\${thing#/}" ] && continue
      read -r postmaster <"$thing/postgres/postmaster.pid" && kill -KILL "$postmaster"
      rm -rf -- "$thing"
    done`;
  let child: ChildProcess | undefined;
  const tell = (line: string) => {
    if (!child) {
      child = spawn('bash', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
      child.unref();
      (child.stdin as Writable & { unref(): void }).unref();
    }
    child.stdin!.write(`${line}\n`);
  };
  return {
    watch: (thing: string | number) => tell(`+ ${thing}`),
    unwatch: (thing: string | number) => tell(`- ${thing}`),
    dismiss: () => {
      child?.stdin!.end();
      child = undefined;
    },
  };
})();

function parsed(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
