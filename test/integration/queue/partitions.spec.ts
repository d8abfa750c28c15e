import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const TABLES = ['queue_task_events', 'queue_task_logs'];

const partitions = async (table: string) =>
  (
    await fixture.query(
      `SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
       JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY 1`,
      [table],
    )
  ).map((row) => row as { name: string; bound: string });

/** The Mondays of this week and of those to come, as the names have them. */
const mondays = async (weeks: number) =>
  (
    await fixture.query(
      `SELECT to_char(date_trunc('week', now() AT TIME ZONE 'UTC') + n * interval '7 days', 'YYYYMMDD') AS day
       FROM generate_series(0, $1::int) n`,
      [weeks],
    )
  ).map((row) => row.day as string);

describe.each(TABLES)('%s', (table) => {
  it('has a partition for this week, for the four to come, and for everything else', async () => {
    const days = await mondays(4);
    const found = await partitions(table);
    expect(found.map(({ name }) => name)).toEqual([...days.map((day) => `${table}_${day}`), `${table}_default`]);
    expect(found.at(-1)!.bound).toBe('DEFAULT');
  });

  it('gets more when asked, whatever the time zone, and none twice', async () => {
    const before = await partitions(table);
    await fixture.query(`BEGIN; SET LOCAL TimeZone = 'Pacific/Kiritimati'; SELECT queue_ensure_partitions(); COMMIT`);
    expect(await partitions(table)).toEqual(before);
    const hand = await fixture.hand();
    await hand.query('BEGIN; SELECT queue_ensure_partitions(6); SELECT queue_ensure_partitions(6)');
    const days = await mondays(6);
    for (const day of days) {
      expect((await hand.query('SELECT to_regclass($1) IS NOT NULL AS there', [`${table}_${day}`])).rows).toEqual([
        { there: true },
      ]);
    }
    await hand.query('ROLLBACK');
  });

  it('has the bounds of its weeks in UTC, one after the other', async () => {
    const hand = await fixture.hand();
    await hand.query(`SET TimeZone = 'UTC'`);
    const sql = `SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
                 JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY c.relname`;
    const bounds = (await hand.query(sql, [table])).rows.slice(0, -1).map((row) => row.bound as string);
    const ends = bounds.map((bound) => /FROM \('([^']+)'\) TO \('([^']+)'\)/.exec(bound)!.slice(1) as [string, string]);
    ends.slice(1).forEach(([from], n) => expect(from).toBe(ends[n]![1]));
    expect(ends.every(([from]) => from.endsWith(' 00:00:00+00'))).toBe(true);
  });

  it('leaves a week that has rows in the default partition there, and makes the others', async () => {
    const hand = await fixture.hand();
    await hand.query('BEGIN');
    const values =
      table === 'queue_task_events'
        ? `(kind, task_id, actor, at) VALUES ('operator', 'task-x', 'ada', date_trunc('week', now() AT TIME ZONE 'UTC') + interval '36 days')`
        : `(task_id, attempt, step, stream, chunk, at) VALUES ('task-x', 1, 's', 'stdout', '', date_trunc('week', now() AT TIME ZONE 'UTC') + interval '36 days')`;
    await hand.query(`INSERT INTO ${table} ${values}`);
    expect((await hand.query(`SELECT tableoid::regclass::text AS name FROM ${table}`)).rows).toEqual([
      { name: `${table}_default` },
    ]);
    await hand.query('SELECT queue_ensure_partitions(7)');
    const days = (await mondays(7)).slice(5);
    const made: boolean[] = [];
    for (const day of days) {
      made.push((await hand.query('SELECT to_regclass($1) AS t', [`${table}_${day}`])).rows[0].t !== null);
    }
    expect(made).toEqual([false, true, true]);
    expect((await hand.query(`SELECT FROM ${table}`)).rows).toHaveLength(1);
    await hand.query('ROLLBACK');
  });

  it('is made by many at once without an error', async () => {
    const hands = await Promise.all(Array.from({ length: 4 }, () => fixture.hand()));
    await Promise.all(hands.map((hand) => hand.query('SELECT queue_ensure_partitions(9)')));
    expect(await partitions(table)).toHaveLength(11);
    await fixture.query(
      (await mondays(9))
        .slice(5)
        .flatMap((day) => TABLES.map((name) => `DROP TABLE ${name}_${day}`))
        .join('; '),
    );
  });
});
