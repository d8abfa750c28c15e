import pg from 'pg';
import { listStatement, type TaskFilter } from '../contestants/turnpike-package.ts';
import { entryOf } from '../contestants/catalogue.ts';
import { percentile } from '../harness/statistics.ts';
import { onPostgres, settle } from '../harness/store.ts';
import type { Workload } from './workload.ts';

const FULL = '1,000,000 tasks';
const TIMES = 25;
const PAGE = 50;
const HOUR_MS = 3_600_000;

const ago = (hours: number) => new Date(Date.now() - hours * HOUR_MS).toISOString();

/** The tasks are spread over the last 1,000 hours; see `rows`. */
const FILTERS: Record<string, TaskFilter> = {
  'no filter': {},
  completed: { status: 'completed' },
  pending: { status: 'pending' },
  failed: { status: 'failed' },
  cancelled: { status: 'cancelled' },
  'rare application': { appName: 'app-7-svc' },
  'large application': { appName: 'app-0-svc' },
  'rare workflow': { workflowName: 'golden-path-rare' },
  label: { labels: { team: 'team-5' } },
  since: { since: ago(1) },
  until: { until: ago(900) },
  'text in few names': { text: 'APP-77' },
  'text in all names': { text: 'svc' },
  'text in errors': { text: 'registry-77' },
  'text nowhere': { text: 'zzzz' },
  'failed and application': { status: 'failed', appName: 'app-7-svc' },
  'application and until': { appName: 'app-0-svc', until: ago(900) },
};

const key = (label: string) => label.replaceAll(' ', '_');

export const lists: Workload = {
  name: 'lists',
  title: 'Pages of the list of tasks',
  text:
    `The time of the first page of ${PAGE} tasks by each filter, median of ${TIMES} in milliseconds, as the statement of ` +
    '`GET /api/tasks`. Of a million tasks over 1,000 applications, 5,000 wait, 2% failed, 0.5% were cancelled and 20% have ' +
    'two labels.',
  contestants: ['turnpike'],
  variants: [FULL],
  metrics: Object.keys(FILTERS).map((label) => ({ key: key(label), label, digits: 1 })),
  ratio: 'first variant',
  prepared: FULL,
  async prepare({ url, short }) {
    const contestant = await entryOf('turnpike').load();
    await contestant.connect(url, 'all');
    await contestant.close();
    await onPostgres(url, 'SET session_replication_role = replica', rows(short ? 10_000 : 1_000_000), NARROW_ROWS);
    await settle(url);
  },
  async measure({ url }) {
    const client = new pg.Client(url);
    await client.connect();
    const metrics: Record<string, number> = {};
    for (const [label, filter] of Object.entries(FILTERS)) {
      const { statement, values } = listStatement({ filter, limit: PAGE + 1 });
      const times: number[] = [];
      for (let n = 0; n < TIMES; n++) {
        const began = performance.now();
        await client.query(statement.text, values);
        times.push(performance.now() - began);
      }
      metrics[key(label)] = percentile(times, 50);
    }
    await client.end();
    return metrics;
  },
};

const rows = (count: number) => `
INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, metadata, status, enqueued_at, run_at,
                         start_by, attempt, error_message, started_at, completed_at)
SELECT 'task-' || gen_random_uuid(), 'app-' || (power(random(), 3) * 1000)::int || '-svc',
       CASE WHEN n = 5000 THEN 'golden-path-rare' ELSE 'golden-path-' || n % 5 END,
       jsonb_build_object('filler', repeat('x', 350)),
       CASE WHEN n % 5 = 0 THEN jsonb_build_object('labels', jsonb_build_object('team', 'team-' || n % 40, 'env', 'env-' || n % 2))
            ELSE '{}' END,
       status, at, at, at, 1,
       CASE WHEN status = 'failed' THEN 'connection refused to registry-' || n % 700 END,
       at, CASE WHEN status <> 'pending' THEN at END
FROM generate_series(1, ${count}) n
CROSS JOIN LATERAL (SELECT now() - (${count} - n) * interval '1000 hours' / ${count} AS at) t
CROSS JOIN LATERAL (SELECT CASE WHEN n > ${count} * 0.995 THEN 'pending' WHEN n % 50 = 0 THEN 'failed'
                                WHEN n % 211 = 0 THEN 'cancelled' ELSE 'completed' END AS status) s`;

const NARROW_ROWS = `
INSERT INTO queue_ready SELECT id, start_by FROM queue_tasks WHERE status = 'pending';
INSERT INTO queue_dead_letters (id, finished_at, app_name, workflow_name, error)
SELECT id, completed_at, app_name, workflow_name, queue_like_error(error_message) FROM queue_tasks WHERE status = 'failed';
INSERT INTO queue_cancelled SELECT id FROM queue_tasks WHERE status = 'cancelled';
INSERT INTO queue_task_labels SELECT l.name, l.value, t.enqueued_at, t.id
FROM queue_tasks t CROSS JOIN LATERAL queue_labels(t.metadata) l`;
