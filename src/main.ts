import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { explainStartError } from './explain-start-error.js';
import { StructuredLogger } from './common/logging/structured-logger.js';
import { loadSettings } from './config/load-settings.js';
import { startService, type Service } from './start-service.js';

let service: Service | undefined;
let signals = 0;

async function stop(signal: NodeJS.Signals): Promise<void> {
  signals++;
  if (!service) process.exit(0);
  // The first drains, the second ends the grace time, the third ends the process as it stands.
  if (signals > 2) process.exit(1);
  process.stderr.write(signals === 1 ? `${signal}: finishing what runs; again to stop at once\n` : '');
  try {
    await service.stop();
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${explainStartError(error)}\n`);
    process.exit(1);
  }
}

process.on('SIGTERM', (signal) => void stop(signal));
process.on('SIGINT', (signal) => void stop(signal));

try {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const settings = loadSettings(process.env);
  service = await startService(settings, new StructuredLogger(settings.LOG_LEVEL, settings.LOG_FORMAT));
} catch (error) {
  process.stderr.write(`${explainStartError(error)}\n`);
  process.exit(1);
}
