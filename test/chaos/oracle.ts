import { readFileSync } from 'node:fs';
import { brokenInvariants } from '../support/invariant.js';
import { until } from '../support/until.js';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- rows as PostgreSQL answers them
export type Query = (sql: string, params?: unknown[]) => Promise<any[]>;

export interface Verdict {
  /** Accepted tasks that are not stored, or did not have each effect. */
  readonly lost: string[];
  /** Effects that happened in more than one attempt. */
  readonly doubled: number;
  /** Those of which the ledger has no lost lease to tell. */
  readonly unexplained: string[];
  /** Tasks with another number of terminal transitions than one. */
  readonly notEndedOnce: string[];
  /** Events written under the name of an instance after the task had been taken from it. */
  readonly zombieWrites: number;
}

export async function allEnd(query: Query, taskIds: readonly string[], timeoutMs = 600_000): Promise<void> {
  const sql = `SELECT count(*)::int AS n FROM queue_tasks
               WHERE task_id = ANY($1) AND status IN ('completed', 'failed', 'cancelled')`;
  let n = 0;
  const what = () => `${taskIds.length} tasks have ended (${n} have)`;
  await until(what, async () => (n = (await query(sql, [taskIds]))[0].n) >= taskIds.length, {
    timeoutMs,
    everyMs: 100,
  });
}

export async function becomesSound(query: Query): Promise<void> {
  let broken: unknown[] = [];
  const what = () => `the invariants hold: ${JSON.stringify(broken)}`;
  await until(what, async () => (broken = await brokenInvariants(query)).length === 0, { everyMs: 200 });
}

/** Compares what the tasks did to the world with what was promised, and with what the ledger tells. */
export async function judge(
  query: Query,
  file: string,
  accepted: readonly string[],
  steps: readonly string[],
  /** What may cut an attempt off, as SQL on its event from running to pending. */
  cutOff = `cause = 'lease_lost'`,
): Promise<Verdict> {
  const attempts = effectsIn(file);
  const lostLeases = await query(
    `SELECT task_id || ' ' || attempt AS run FROM queue_task_events
     WHERE kind = 'transition' AND from_status = 'running' AND (${cutOff})`,
  );
  const explained = new Set(lostLeases.map(({ run }) => run as string));
  let doubled = 0;
  const unexplained: string[] = [];
  for (const [taskAndStep, [...tries]] of attempts) {
    doubled += tries.length - 1;
    const taskId = taskAndStep.split(' ')[0]!;
    // All but the last try must have been cut off.
    const before = tries.sort((a, b) => a - b).slice(0, -1);
    if (before.some((attempt, n) => attempt === tries[n + 1] || !explained.has(`${taskId} ${attempt}`)))
      unexplained.push(`${taskAndStep} in attempts ${tries.join()}`);
  }
  const ended = await query(
    `SELECT task_id, count(*) FILTER (WHERE to_status IN ('completed', 'failed', 'cancelled'))::int AS ends
     FROM queue_task_events WHERE kind = 'transition' GROUP BY task_id`,
  );
  const ends = new Map(ended.map(({ task_id, ends: n }) => [task_id as string, n as number]));
  const isLost = (id: string) => !ends.has(id) || steps.some((step) => !attempts.has(`${id} ${step}`));
  return {
    lost: accepted.filter(isLost),
    doubled,
    unexplained,
    notEndedOnce: [...ends].filter(([, n]) => n !== 1).map(([id, n]) => `${id} ended ${n} times`),
    zombieWrites: (await query(ZOMBIE_WRITES))[0].n,
  };
}

/** The attempts in which each step of each task had its effect, by "task step". */
function effectsIn(file: string): Map<string, number[]> {
  const attempts = new Map<string, number[]>();
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    const [taskId, attempt, step] = line.split(' ');
    const key = `${taskId} ${step}`;
    attempts.set(key, [...(attempts.get(key) ?? []), Number(attempt)]);
  }
  return attempts;
}

const ZOMBIE_WRITES = `
WITH lost AS (
  SELECT id, task_id, attempt, (SELECT b.actor FROM queue_task_events b WHERE b.task_id = e.task_id
    AND b.to_status = 'running' AND b.kind = 'transition' AND b.id < e.id ORDER BY b.id DESC LIMIT 1) AS worker
  FROM queue_task_events e WHERE cause = 'lease_lost' AND kind = 'transition'
)
SELECT count(*)::int AS n FROM lost l
JOIN queue_task_events w ON w.task_id = l.task_id AND w.actor = l.worker AND w.id > l.id`;

/** How long after the death of its process each task was taken back, in milliseconds: the longest. */
export async function slowestRecoveryMs(query: Query, killedAt: ReadonlyMap<number, number>): Promise<number> {
  const rescues = await query(`
    SELECT extract(epoch FROM e.at)::float8 * 1000 AS at, (regexp_match(b.actor, '-(\\d+)-[0-9a-f]{8}$'))[1]::int AS pid
    FROM queue_task_events e
    JOIN LATERAL (SELECT actor FROM queue_task_events b WHERE b.task_id = e.task_id AND b.kind = 'transition'
      AND b.to_status = 'running' AND b.id < e.id ORDER BY b.id DESC LIMIT 1) b ON true
    WHERE e.kind = 'transition' AND e.cause = 'lease_lost' AND e.to_status = 'pending'`);
  return Math.max(0, ...rescues.map(({ at, pid }) => at - (killedAt.get(pid) ?? at)));
}
