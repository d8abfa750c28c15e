import { onPostgres } from './store.ts';

/**
 * Stores `count` copies of each row that fits, with some columns given anew by SQL expressions in which `n` is the copy's
 * number. Generated columns are left to the database; triggers do not run.
 */
export async function copyRows(
  url: string,
  table: string,
  where: string,
  count: number,
  columns: Record<string, string>,
): Promise<void> {
  const found = await onPostgres<{ name: string }>(
    url,
    `SELECT quote_ident(attname) AS name FROM pg_attribute
     WHERE attrelid = '${table}'::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = ''`,
  );
  const names = found.map(({ name }) => name);
  const values = names.map((name) => columns[name] ?? `source.${name}`);
  await onPostgres(
    url,
    'SET session_replication_role = replica',
    `INSERT INTO ${table} (${names.join(', ')}) SELECT ${values.join(', ')}
     FROM (SELECT * FROM ${table} WHERE ${where}) source, generate_series(1, ${count}) n`,
  );
}
