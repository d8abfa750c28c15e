import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { adminToken } from './auth/admin-token.js';
import { readTls, renewTls, type TlsFiles } from './common/http/tls.js';
import { StructuredLogger } from './common/logging/structured-logger.js';
import { isLoopback } from './common/net-addresses.js';
import { SettingsError } from './config/load-settings.js';
import type { Settings } from './config/settings.js';
import type { AppOptions } from './app.module.js';
import { createApp } from './create-app.js';
import type { EmbeddedPostgres } from './database/embedded/embedded-postgres.js';
import { GoldenPathsService } from './golden-paths/golden-paths.service.js';
import { QueueRuntime } from './queue/queue-runtime.js';

export interface Service {
  readonly app: NestFastifyApplication;
  readonly url: string;
  readonly adminToken: string;
  /** Drains and ends everything this process started. Called again while it drains: ends the grace time. */
  stop(): Promise<void>;
  /** Reads the catalogue of golden paths and the certificate anew; what is wrong is logged, and the old stays in force. */
  reload(): Promise<void>;
}

export interface ServiceOptions {
  /** Modules with step types of one's own, and whatever else. */
  readonly modules?: AppOptions['modules'];
}

/** Starts everything: the database where none is named, then the application. */
export async function startService(settings: Settings, { modules = [] }: ServiceOptions = {}): Promise<Service> {
  const logger = new StructuredLogger(settings.LOG_LEVEL, settings.LOG_FORMAT);
  await checkAddress(settings);
  const files = tlsFiles(settings);
  const tls = files && (await readTls(files).catch((error: Error) => Promise.reject(new SettingsError(error.message))));
  if (!tls && !isLoopback(settings.HOST)) logger.warn(UNENCRYPTED, 'Service');
  const embedded = settings.DATABASE_URL === undefined ? await startEmbedded(settings, logger) : undefined;
  try {
    const databaseUrl = settings.DATABASE_URL ?? embedded!.url;
    const { token, file } = await adminToken(settings.ADMIN_TOKEN, settings.DATA_DIR);
    const app = await createApp({ settings, databaseUrl, adminToken: token, modules, ...(tls && { tls }) }, logger);
    try {
      await app.listen(settings.PORT, tls ? await oneAddressOf(settings.HOST) : settings.HOST);
    } catch (error) {
      await app.close();
      throw error;
    }
    const url = (await app.getUrl()).replace('[::1]', 'localhost');
    logger.log({ msg: `Listening on ${url}`, url, docs: `${url}/api/docs`, role: settings.ROLE }, 'Service');
    if (file) logger.log({ msg: `The admin token is in ${file}`, file }, 'Service');
    return { app, url, adminToken: token, stop: stopper(app, embedded), reload: reloader(app, files, logger) };
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

/** Nest listens last. Who finds out only then that it cannot has claimed tasks by that time, and would have to drain. */
async function checkAddress({ HOST, PORT }: Settings): Promise<void> {
  const probe = createServer().listen(PORT, HOST);
  try {
    await once(probe, 'listening');
  } catch (error) {
    const { syscall, message } = error as NodeJS.ErrnoException;
    if (syscall !== 'getaddrinfo') throw error;
    throw new SettingsError(`HOST is '${HOST}': it must be an address of this machine (${message})`);
  }
  probe.close();
  await once(probe, 'close');
}

function stopper(app: NestFastifyApplication, embedded: EmbeddedPostgres | undefined): () => Promise<void> {
  let stopped: Promise<void> | undefined;
  return () => {
    if (stopped) app.get(QueueRuntime).drainNow();
    stopped ??= app.close().finally(() => embedded?.stop());
    return stopped;
  };
}

function reloader(app: NestFastifyApplication, files: TlsFiles | undefined, logger: StructuredLogger) {
  return async (): Promise<void> => {
    // It has logged why it cannot.
    await app
      .get(GoldenPathsService)
      .reload()
      .catch(() => undefined);
    if (!files) return;
    try {
      await renewTls(app.getHttpServer() as Server, files);
      logger.log({ msg: 'The certificate was read anew', file: files.certFile }, 'Service');
    } catch (error) {
      logger.error({ msg: `The old certificate stays: ${(error as Error).message}` }, 'Service');
    }
  };
}

/** For `localhost` two servers would listen, of which only the first would get a new certificate. */
async function oneAddressOf(host: string): Promise<string> {
  return (await lookup(host)).address;
}

/** The settings have either both or none. */
function tlsFiles({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile }: Settings): TlsFiles | undefined {
  return certFile !== undefined && keyFile !== undefined ? { certFile, keyFile } : undefined;
}

const UNENCRYPTED = {
  msg:
    'HOST is reachable from other machines, and keys and documents cross the network unencrypted: set TLS_CERT_FILE and ' +
    'TLS_KEY_FILE, or HOST=127.0.0.1 with a proxy that speaks TLS before it',
};

async function startEmbedded(settings: Settings, logger: StructuredLogger): Promise<EmbeddedPostgres> {
  // Loaded only when used: the binaries are optional dependencies.
  const { startEmbeddedPostgres } = await import('./database/embedded/embedded-postgres.js');
  const embedded = await startEmbeddedPostgres({
    dataDir: settings.DATA_DIR,
    log: (message) => logger.log(message, 'Postgres'),
  });
  const file = resolve(settings.DATA_DIR, 'database-url');
  await writeFile(file, `${embedded.url}\n`, { mode: 0o600 });
  logger.log({ msg: `For psql, the database's address is in ${file}`, file }, 'Postgres');
  return embedded;
}
