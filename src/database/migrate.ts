import { dataSourceOptions, TurnpikeDataSource } from './data-source.js';

/** Applies the migrations that the database lacks; returns their names. */
export async function migrate(url: string): Promise<string[]> {
  const dataSource = new TurnpikeDataSource(dataSourceOptions(url, 2));
  await dataSource.initialize();
  try {
    const applied = await dataSource.runMigrations();
    return applied.map((migration) => migration.name);
  } finally {
    await dataSource.destroy();
  }
}
