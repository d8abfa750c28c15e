import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { explainStartError } from './explain-start-error.js';
import { loadSettings } from './config/load-settings.js';
import { startService, type Service } from './start-service.js';

let starting: Promise<Service> | undefined;
let service: Service | undefined;
let signals = 0;

async function stop(signal: NodeJS.Signals): Promise<void> {
  signals++;
  if (!starting) process.exit(0);
  // The first drains, the second ends the grace time, one more (or a second while it starts) leaves all as it stands.
  if (signals > (service ? 2 : 1)) process.exit(1);
  process.stderr.write(signals === 1 ? `${signal}: finishing what runs; again to stop at once\n` : '');
  try {
    // What a start has begun, a database for one, is ended only by a service that is up.
    await (await starting).stop();
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${explainStartError(error)}\n`);
    process.exit(1);
  }
}

process.on('SIGTERM', (signal) => void stop(signal));
process.on('SIGINT', (signal) => void stop(signal));
// While it starts it reads the catalogue anyway; without a listener the signal would end it.
process.on('SIGHUP', () => void service?.reload());

try {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const settings = loadSettings(process.env);
  starting = startService(settings);
  service = await starting;
} catch (error) {
  process.stderr.write(`${explainStartError(error)}\n`);
  process.exit(1);
}
