import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { type DatabaseAddress, type DatabaseHost, hostName } from './database-url.js';
import { type HostAnswer, HostProbe } from './host-probe.js';
import { inTime } from './in-time.js';

const LOOK_MS = 1_000;
const LEAST_MS = 100;
/** What the last look found holds for new connections for so long; each of them is asked once more itself. */
const FRESH_MS = 2 * LOOK_MS;
/**
 * How long the others may take once a primary has answered, and the current one too: one of them may have been promoted
 * after it. The current one has its whole time-out, and so have all where there is none.
 */
const GRACE_MS = 300;

/** None of the hosts takes writes now; the code is that of a connection that cannot be made. */
export class NoPrimaryError extends Error {
  readonly code = '08001';
}

/**
 * Knows which of several hosts is the primary, for all connections of a process: found before the first, looked at once a
 * second for as long as there are any. When it is another, or takes no writes any more, the connections to what was the
 * primary are cut, whether or not that still answers: whoever used them comes back, and gets one to the new primary.
 *
 * The primary stays whatever comes before it in the list, until it no longer takes writes or answers. Where several say
 * that they are the primary, the one that was promoted last is: an old primary that came back by itself does not know yet.
 * Nor is such a one followed alone, while the one that was promoted after it is silent.
 */
export class PrimaryWatch {
  private readonly logger = new Logger('Database');
  private readonly clients = new Map<pg.Client, HostProbe>();
  private answers = new Map<HostProbe, HostAnswer>();
  /** Those of the primaries among the answers; -1 where one could not be read. */
  private timelines = new Map<HostProbe, number>();
  /** The highest there has been: who is below it was a primary before. */
  private latest = -1;
  private current: HostProbe | undefined;
  /** The last there was, for the log. */
  private known: HostProbe | undefined;
  private confirmedAt = -Infinity;
  private lookedAt = -Infinity;
  private soughtAt = -Infinity;
  private missing = false;
  private looking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** The time-out is that of the probes, for each question. */
  constructor(
    private readonly probes: readonly HostProbe[],
    private readonly timeoutMs: number,
  ) {}

  static over({ url, hosts, connectTimeoutMs }: DatabaseAddress): PrimaryWatch {
    const newClient = (host: DatabaseHost) => {
      const config = { connectionString: url, application_name: 'turnpike', keepAlive: true };
      return pointAt(new pg.Client({ ...config, connectionTimeoutMillis: connectTimeoutMs }), host);
    };
    const probes = hosts.map((host) => new HostProbe(host, newClient, connectTimeoutMs));
    return new PrimaryWatch(probes, connectTimeoutMs);
  }

  /** The primary, found now unless it was confirmed a moment ago. Takes no longer than two questions to a host. */
  async find(): Promise<DatabaseHost> {
    this.soughtAt = performance.now();
    if (!this.isFresh) await inTime(this.look(), LEAST_MS + 2 * this.timeoutMs, () => undefined);
    if (!this.current || !this.isFresh) throw this.whyNone();
    return this.current.host;
  }

  /** Cut when this host is no longer the primary. */
  add(client: pg.Client, host: DatabaseHost): void {
    const probe = this.probes.find((each) => each.host === host)!;
    this.clients.set(client, probe);
    client.once('end', () => {
      this.clients.delete(client);
      if (this.clients.size === 0) this.rest();
    });
    // It was chosen a moment ago, and that may have been a moment too long.
    if (this.current !== probe) cut(client);
  }

  /** A connection to this host failed, or takes no writes: it is looked at before the next is made. */
  doubt(host: DatabaseHost): void {
    if (this.current?.host === host) this.confirmedAt = -Infinity;
  }

  private get isFresh(): boolean {
    return performance.now() - this.confirmedAt < FRESH_MS;
  }

  private look(): Promise<void> {
    this.looking ??= this.lookOnce().finally(() => {
      this.looking = undefined;
      this.schedule();
    });
    return this.looking;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    const again = () => {
      const used = this.clients.size > 0 || performance.now() - this.soughtAt < FRESH_MS;
      if (used) void this.look();
      else this.rest();
    };
    this.timer = setTimeout(again, LOOK_MS);
    this.timer.unref();
  }

  /** Nobody is connected: nothing to look after until somebody comes. */
  private rest(): void {
    clearTimeout(this.timer);
    for (const probe of this.probes) probe.close();
    this.confirmedAt = -Infinity;
  }

  private async lookOnce(): Promise<void> {
    const early = this.lookedAt + LEAST_MS - performance.now();
    if (early > 0) await delay(early);
    this.answers = await this.askAll();
    this.lookedAt = performance.now();
    const primaries = this.probes.filter((probe) => this.answers.get(probe)?.role === 'primary');
    const best = await this.choose(primaries);
    if (best) this.follow(best);
    else this.miss();
  }

  private async askAll(): Promise<Map<HostProbe, HostAnswer>> {
    const answers = new Map<HostProbe, HostAnswer>();
    const enough = new Promise<void>((resolve) => {
      for (const probe of this.probes) {
        void probe.ask().then((answer) => {
          answers.set(probe, answer);
          const found = [...answers.values()].some(({ role }) => role === 'primary');
          if (found && this.current && answers.has(this.current)) resolve();
        });
      }
    });
    const all = Promise.all(this.probes.map((probe) => probe.ask()));
    await Promise.race([all, enough.then(() => delay(GRACE_MS, undefined, { ref: false }))]);
    return new Map(answers);
  }

  /** None where all that take writes were promoted before one that has been seen. */
  private async choose(primaries: readonly HostProbe[]): Promise<HostProbe | undefined> {
    if (this.probes.length === 1) return primaries[0];
    const read = primaries.map(async (probe) => [probe, await probe.timeline()] as const);
    this.timelines = new Map(await Promise.all(read));
    this.latest = Math.max(this.latest, ...this.timelines.values());
    const current = primaries.find((probe) => probe === this.current);
    // Nothing says that another was promoted after it.
    if (current && this.timelines.get(current) === -1) return current;
    const last = primaries.filter((probe) => this.timelines.get(probe) === this.latest);
    return current && last.includes(current) ? current : last[0];
  }

  private follow(probe: HostProbe): void {
    const primary = hostName(probe.host);
    if (this.known && this.known !== probe) {
      this.logger.warn({ msg: `The database's primary is ${primary} now`, was: hostName(this.known.host) });
    } else if (this.missing) {
      this.logger.log({ msg: `The database's primary is back: ${primary}` });
    }
    this.missing = false;
    this.current = this.known = probe;
    this.confirmedAt = performance.now();
    for (const [client, of] of this.clients) if (of !== probe) cut(client);
  }

  private miss(): void {
    if (!this.missing && this.known) this.logger.warn({ msg: this.whyNone().message });
    this.missing = true;
    this.confirmedAt = -Infinity;
    // One that answers, and takes no writes or is an old primary, is of no use. One that is silent may only be slow: its
    // connections stay.
    const answer = this.current && this.answers.get(this.current);
    if (!answer || answer.role === 'silent') return;
    for (const [client, of] of this.clients) if (of === this.current) cut(client);
    this.current = undefined;
  }

  private whyNone(): Error {
    const reasons = this.probes.map((probe) => {
      const answer = this.answers.get(probe) ?? { role: 'silent', error: new Error('no answer yet') };
      return { name: hostName(probe.host), answer, timeline: this.timelines.get(probe) };
    });
    const errors = reasons.flatMap(({ answer }) => (answer.role === 'silent' ? [answer.error] : []));
    // A wrong password, user or database: that is for whoever set the address, not something that passes.
    const refusal = errors.find((error) => /^(28|3D)/.test((error as { code?: string }).code ?? ''));
    if (refusal && errors.length === reasons.length) return refusal;
    const told = reasons.map(({ name, answer, timeline }) => {
      if (answer.role === 'silent') return `${name} (${said(answer.error)})`;
      return `${name} (${answer.role === 'standby' ? 'a standby, or read-only' : this.whyNot(timeline)})`;
    });
    return new NoPrimaryError(`no host of DATABASE_URL takes writes: ${told.join(', ')}`);
  }

  /** Of one that takes writes, but is not followed. */
  private whyNot(timeline = this.latest): string {
    if (timeline === this.latest) return 'not found to be the primary yet';
    if (timeline === -1) return 'its timeline cannot be read';
    const why = `an old primary on timeline ${timeline}, where ${this.latest} has been seen`;
    return `${why}: make it a standby, or restart Turnpike if it is the right one`;
  }
}

/** A name with several addresses fails with one error for each, and none of its own. */
function said(error: Error): string {
  return error.message || ((error as { code?: string }).code ?? error.name);
}

/** Where a client is to connect to, whatever its address says; it seeks its password in `.pgpass` by the parameters. */
export function pointAt(client: pg.Client, { host, port }: DatabaseHost): pg.Client {
  // No types for it.
  const { connectionParameters } = client as pg.Client & { connectionParameters: DatabaseHost };
  Object.assign(connectionParameters, { host, port });
  return Object.assign(client, { host, port });
}

/** Without a goodbye: statements under way fail as when the server dies. */
function cut(client: pg.Client): void {
  client.connection.stream.destroy();
}
