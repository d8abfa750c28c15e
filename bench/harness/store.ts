import pg from 'pg';

export async function onPostgres<T extends pg.QueryResultRow>(url: string, ...statements: string[]): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: T[] = [];
    for (const statement of statements) ({ rows } = await client.query<T>(statement));
    return rows;
  } finally {
    await client.end();
  }
}

/**
 * What a server that has been up for a while would have done: the planner knows the tables, and nobody pays for
 * somebody else's dirty pages. Redis has nothing of the kind.
 */
export async function settle(url: string): Promise<void> {
  if (url.startsWith('postgres')) await onPostgres(url, 'VACUUM ANALYZE', 'CHECKPOINT');
}

/** The one number that a query answers with. */
export async function count(pool: pg.Pool, query: string): Promise<number> {
  const { rows } = await pool.query<unknown[]>({ text: query, rowMode: 'array' });
  return Number(rows[0]![0]);
}
