import { existsSync } from 'node:fs';
import { loadSettings } from './src/config/load-settings.js';
import { dataSourceOptions, TurnpikeDataSource } from './src/database/data-source.js';
import { queueEntities } from './src/queue/entities.js';
import { scheduleEntities } from './src/schedules/schedule.entity.js';
import { webhookEntities } from './src/webhooks/webhook.entity.js';

if (existsSync('.env')) process.loadEnvFile('.env');
const settings = loadSettings(process.env);

/** For the TypeORM CLI. Without DATABASE_URL it starts the embedded PostgreSQL, and stops it when the CLI is done. */
async function dataSource(): Promise<TurnpikeDataSource> {
  if (settings.DATABASE_URL !== undefined) {
    return new TurnpikeDataSource({
      ...dataSourceOptions(settings.DATABASE_URL),
      entities: [...queueEntities, ...scheduleEntities, ...webhookEntities],
    });
  }
  const { startEmbeddedPostgres } = await import('./src/database/embedded/embedded-postgres.js');
  const embedded = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR });
  const source = new TurnpikeDataSource({
    ...dataSourceOptions(embedded.url),
    entities: [...queueEntities, ...scheduleEntities, ...webhookEntities],
  });
  const destroy = source.destroy.bind(source);
  source.destroy = async () => {
    await destroy();
    await embedded.stop();
  };
  return source;
}

export default await dataSource();
