import 'reflect-metadata';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadSettings } from './config/load-settings.js';
import type { Settings } from './config/settings.js';
import { dataSourceOptions, TurnpikeDataSource } from './database/data-source.js';
import { explainStartError } from './explain-start-error.js';
import { LedgerVerifier, type VerifyOptions } from './queue/ledger/verifier.js';
import { QueueDatabase } from './queue/store/queue-database.js';
import { SealStore } from './queue/store/seal-store.js';

const USAGE = `Checks the ledger's chain of seals: 0 where it is whole, 1 where it is broken, 2 where it cannot be checked.
  --from-block <n>        begin at this block
  --head <block>:<hash>   the chain must have this head, which was kept elsewhere
DATABASE_URL names the database; unset, it is the embedded one of the service that runs on DATA_DIR.
`;

class UsageError extends Error {}

function readOptions(args: string[]): VerifyOptions | undefined {
  const { values } = parse(args);
  if (values.help) return undefined;
  const from = values['from-block'];
  if (from !== undefined && !/^[1-9]\d{0,14}$/.test(from)) {
    throw new UsageError(`--from-block is '${from}': it must be the number of a block, from 1`);
  }
  const [, block, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/i.exec(values.head ?? '') ?? [];
  if (values.head !== undefined && block === undefined) {
    throw new UsageError(
      `--head is '${values.head}': it must be <block>:<hash>, the hash with its 64 hexadecimal digits`,
    );
  }
  return {
    ...(from === undefined ? {} : { fromBlock: Number(from) }),
    ...(block === undefined ? {} : { kept: { block: Number(block), hash: hash!.toLowerCase() } }),
  };
}

function parse(args: string[]) {
  try {
    const options = { 'from-block': { type: 'string' }, head: { type: 'string' }, help: { type: 'boolean' } } as const;
    return parseArgs({ args, options });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
}

function databaseUrl({ DATABASE_URL, DATA_DIR }: Settings): string {
  if (DATABASE_URL !== undefined) return DATABASE_URL;
  const file = resolve(DATA_DIR, 'database-url');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  throw new UsageError(
    `There is no database to check: set DATABASE_URL, or DATA_DIR to a running service's data folder`,
  );
}

async function verify(options: VerifyOptions): Promise<boolean> {
  const settings = loadSettings(process.env);
  const dataSource = new TurnpikeDataSource(dataSourceOptions(databaseUrl(settings), 1));
  await dataSource.initialize();
  try {
    const database = new QueueDatabase(dataSource, { pooler: settings.DATABASE_POOLER });
    const result = await new LedgerVerifier(new SealStore(database)).verify(options);
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    return result.valid;
  } finally {
    await dataSource.destroy();
  }
}

try {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const options = readOptions(process.argv.slice(2));
  if (!options) process.stdout.write(USAGE);
  else process.exitCode = (await verify(options)) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof UsageError ? error.message : explainStartError(error)}\n`);
  process.exitCode = 2;
}
