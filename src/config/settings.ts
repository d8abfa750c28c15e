import { Type } from 'class-transformer';
import { IsIn, IsInt, IsNumber, IsOptional, IsString, IsUrl } from 'class-validator';
import { Matches, Max, Min, MinLength, ValidateBy, type ValidationArguments } from 'class-validator';
import { parseRoleMap } from '../auth/oidc/claims.js';
import { parseDuration } from '../common/duration.js';
import { parseNetworks } from '../common/net-addresses.js';
import { DatabaseUrlError, readDatabaseUrl } from '../database/hosts/database-url.js';
import { parseSandboxBinds } from './sandbox-binds.js';

export const ROLES = ['all', 'api', 'worker'] as const;
export const POOLERS = ['none', 'transaction'] as const;
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export const SANDBOXES = ['auto', 'bubblewrap', 'off'] as const;
export const STEP_NETWORKS = ['host', 'none'] as const;
export const LOG_FORMATS = ['pretty', 'json'] as const;

const SWITCH = ['on', 'off'] as const;
/** An issuer on the same machine or network may have a name without dots, and no certificate. */
const ISSUER = {
  protocols: ['https', 'http'],
  require_tld: false,
  require_protocol: true,
  allow_query_components: false,
};

const between = (min: number, max: number) => `must be a whole number from ${min} to ${max}`;
const oneOf = (values: readonly string[]) => `must be one of ${values.join(', ')}`;
const NETWORKS = {
  name: 'networks',
  validator: {
    validate: areNetworks,
    defaultMessage: () => 'must be a list of networks such as 10.1.0.0/16, 127.0.0.1',
  },
};
const days = { message: 'must be a number of days from 0 to 36500' };
const seconds = { message: 'must be a number of seconds greater than 0, at most 86400' };

/**
 * The service's settings, each an environment variable of this name. `.env.example` describes them; a test compares the
 * two lists. Messages are read after the variable's name.
 */
export class Settings {
  @IsString()
  HOST = '127.0.0.1';

  @Type(() => Number)
  @IsInt({ message: between(0, 65535) })
  @Min(0, { message: between(0, 65535) })
  @Max(65535, { message: between(0, 65535) })
  PORT = 8081;

  /** Both files as PEM make HTTP to HTTPS; SIGHUP reads them anew. */
  @IsOptional()
  @GoesWith('TLS_KEY_FILE')
  TLS_CERT_FILE?: string;

  @IsOptional()
  @GoesWith('TLS_CERT_FILE')
  TLS_KEY_FILE?: string;

  /** Requests of one key, or of one address without a key, an instance; 0 for no limit. */
  @Type(() => Number)
  @IsInt({ message: between(0, 100000000) })
  @Min(0, { message: between(0, 100000000) })
  @Max(100000000, { message: between(0, 100000000) })
  RATE_LIMIT_PER_MINUTE = 6_000;

  /** Answers of one principal that wait or go on (`?wait=`, logs, streams of events), an instance; 0 for no limit. */
  @Type(() => Number)
  @IsInt({ message: between(0, 100000) })
  @Min(0, { message: between(0, 100000) })
  @Max(100000, { message: between(0, 100000) })
  MAX_OPEN_ANSWERS = 200;

  /** How long a request may take to arrive. */
  @Type(() => Number)
  @IsNumber({}, { message: 'must be a number of seconds from 1 to 3600' })
  @Min(1, { message: 'must be a number of seconds from 1 to 3600' })
  @Max(3600, { message: 'must be a number of seconds from 1 to 3600' })
  REQUEST_TIMEOUT_SECONDS = 60;

  /** Proxies whose X-Forwarded-For is believed, as networks. */
  @ValidateBy(NETWORKS)
  TRUSTED_PROXIES = '';

  /** Web pages of other origins that may call the API from a browser, divided by commas. */
  @Matches(/^(|https?:\/\/[^\s,/]+(\s*,\s*https?:\/\/[^\s,/]+)*)$/, {
    message: 'must be a list of origins such as https://portal.example.com, without a path',
  })
  CORS_ORIGINS = '';

  /** `api` takes submissions and answers readers; `worker` runs tasks and fires schedules; `all` does both. */
  @IsIn(ROLES, { message: oneOf(ROLES) })
  ROLE: (typeof ROLES)[number] = 'all';

  /** Without one, an embedded PostgreSQL runs under DATA_DIR. */
  @IsOptional()
  @ValidateBy({
    name: 'databaseUrl',
    validator: {
      validate: (url: string) => wrongUrl(url) === '',
      defaultMessage: (given) => wrongUrl(String(given?.value)),
    },
  })
  DATABASE_URL?: string;

  /** What stands before PostgreSQL: `transaction` is PgBouncer in transaction mode, or whatever pools like it. */
  @IsIn(POOLERS, { message: oneOf(POOLERS) })
  DATABASE_POOLER: (typeof POOLERS)[number] = 'none';

  @Type(() => Number)
  @IsInt({ message: between(2, 500) })
  @Min(2, { message: between(2, 500) })
  @Max(500, { message: between(2, 500) })
  DATABASE_POOL_SIZE = 10;

  @IsString()
  @MinLength(1, { message: 'must name a folder' })
  DATA_DIR = './data';

  /** Without one, a token is made and kept in DATA_DIR/admin-token. */
  @IsOptional()
  @Matches(/^[\x21-\x7e]{16,}$/, { message: 'must have at least 16 characters, printable ASCII without spaces' })
  ADMIN_TOKEN?: string;

  @Type(() => Number)
  @IsInt({ message: between(1, 1000) })
  @Min(1, { message: between(1, 1000) })
  @Max(1000, { message: between(1, 1000) })
  QUEUE_WORKERS = 5;

  @Type(() => Number)
  @IsNumber({}, { message: 'must be a number of seconds from 1 to 3600' })
  @Min(1, { message: 'must be a number of seconds from 1 to 3600' })
  @Max(3600, { message: 'must be a number of seconds from 1 to 3600' })
  QUEUE_LEASE_SECONDS = 30;

  /** Lost leases (a worker's death while it ran the task) before a task is given up. */
  @Type(() => Number)
  @IsInt({ message: between(1, 1000000) })
  @Min(1, { message: between(1, 1000000) })
  @Max(1000000, { message: between(1, 1000000) })
  MAX_CRASHES = 3;

  @Type(() => Number)
  @IsNumber({}, { message: 'must be a number of seconds from 0 to 86400' })
  @Min(0, { message: 'must be a number of seconds from 0 to 86400' })
  @Max(86400, { message: 'must be a number of seconds from 0 to 86400' })
  SHUTDOWN_GRACE_SECONDS = 30;

  /** How long steps with `when: always` may run after a cancel or after a task's timeout, together; 0: not at all. */
  @Type(() => Number)
  @IsNumber({}, { message: 'must be a number of seconds from 0 to 86400' })
  @Min(0, { message: 'must be a number of seconds from 0 to 86400' })
  @Max(86400, { message: 'must be a number of seconds from 0 to 86400' })
  CANCEL_CLEANUP_SECONDS = 60;

  @Type(() => Number)
  @IsNumber({}, seconds)
  @Min(0.001, seconds)
  @Max(86400, seconds)
  STEP_KILL_GRACE_SECONDS = 5;

  /** Whether what steps run is kept apart from the service; `auto`: where bubblewrap works. */
  @IsIn(SANDBOXES, { message: oneOf(SANDBOXES) })
  STEP_SANDBOX: (typeof SANDBOXES)[number] = 'auto';

  /** Files and folders of this machine that steps in a sandbox see besides the system. */
  @ValidateBy({
    name: 'binds',
    validator: {
      validate: areBinds,
      defaultMessage: () =>
        'must be a list of absolute paths such as /srv/cache, /srv/keys:ro, none of them / or in /proc or /dev',
    },
  })
  STEP_SANDBOX_BIND = '';

  /** The network of steps that do not say; `none` needs a sandbox. */
  @IsIn(STEP_NETWORKS, { message: oneOf(STEP_NETWORKS) })
  STEP_NETWORK: (typeof STEP_NETWORKS)[number] = 'host';

  /** CPU time of each process of a step; 0 in this and the next four: no limit. */
  @Type(() => Number)
  @IsInt({ message: between(0, 31536000) })
  @Min(0, { message: between(0, 31536000) })
  @Max(31536000, { message: between(0, 31536000) })
  STEP_LIMIT_CPU_SECONDS = 0;

  /** Address space of each process of a step. */
  @Type(() => Number)
  @IsInt({ message: between(0, 1_000_000_000_000_000) })
  @Min(0, { message: between(0, 1_000_000_000_000_000) })
  @Max(1_000_000_000_000_000, { message: between(0, 1_000_000_000_000_000) })
  STEP_LIMIT_MEMORY_BYTES = 0;

  /** Processes of a step in a sandbox; without one, of the service's user. */
  @Type(() => Number)
  @IsInt({ message: between(0, 4194304) })
  @Min(0, { message: between(0, 4194304) })
  @Max(4194304, { message: between(0, 4194304) })
  STEP_LIMIT_PROCESSES = 0;

  /** The largest file that a step may write. */
  @Type(() => Number)
  @IsInt({ message: between(0, 1_000_000_000_000_000) })
  @Min(0, { message: between(0, 1_000_000_000_000_000) })
  @Max(1_000_000_000_000_000, { message: between(0, 1_000_000_000_000_000) })
  STEP_LIMIT_FILE_BYTES = 0;

  /** Files that each process of a step may have open. */
  @Type(() => Number)
  @IsInt({ message: between(0, 1048576) })
  @Min(0, { message: between(0, 1048576) })
  @Max(1048576, { message: between(0, 1048576) })
  STEP_LIMIT_OPEN_FILES = 0;

  /** Tasks that may wait before new submissions are answered with 503. */
  @Type(() => Number)
  @IsInt({ message: between(1, 100000000) })
  @Min(1, { message: between(1, 100000000) })
  @Max(100000000, { message: between(1, 100000000) })
  QUEUE_CAPACITY = 100_000;

  /** The same for each application, answered with 429; 0 for no limit. */
  @Type(() => Number)
  @IsInt({ message: between(0, 100000000) })
  @Min(0, { message: between(0, 100000000) })
  @Max(100000000, { message: between(0, 100000000) })
  MAX_PENDING_PER_APP = 0;

  /** For how long an Idempotency-Key stands for its submission. */
  @Type(() => Number)
  @IsInt({ message: between(1, 8784) })
  @Min(1, { message: between(1, 8784) })
  @Max(8784, { message: between(1, 8784) })
  IDEMPOTENCY_KEY_HOURS = 24;

  /** For which a task is kept after its end; 0 for ever. A year unless set: nobody is surprised, and no disk fills for good. */
  @Type(() => Number)
  @IsNumber({}, days)
  @Min(0, days)
  @Max(36500, days)
  TASK_RETENTION_DAYS = 365;

  /** For which the ledger is kept, in whole weeks; 0 for ever. */
  @Type(() => Number)
  @IsNumber({}, days)
  @Min(0, days)
  @Max(36500, days)
  LEDGER_RETENTION_DAYS = 0;

  /** Where each task has its folder; DATA_DIR/workspaces unless set. */
  @IsOptional()
  @IsString()
  @MinLength(1, { message: 'must name a folder' })
  WORKSPACES_DIR?: string;

  /** On workers: a folder with a file for each secret, as Kubernetes mounts them. */
  @IsOptional()
  @IsString()
  @MinLength(1, { message: 'must name a folder' })
  SECRETS_DIR?: string;

  /** On workers: how the names of environment variables begin that hold secrets; the secret's name follows. */
  @Matches(/^[A-Za-z_][A-Za-z0-9_]{3,}$/, { message: 'must be at least 4 letters, digits and "_", no digit first' })
  SECRETS_ENV_PREFIX = 'TURNPIKE_SECRET_';

  /** Networks that HTTP requests for users may go to besides the internet, e.g. `10.1.0.0/16, 127.0.0.1`. */
  @ValidateBy(NETWORKS)
  OUTBOUND_ALLOWED_CIDRS = '';

  /** The pauses between the attempts of a webhook's delivery; as many retries. */
  @ValidateBy({
    name: 'durations',
    validator: {
      validate: areDelays,
      defaultMessage: () => 'must be 1 to 30 durations such as 5s, 5m, 2h, each from 1s to 7d',
    },
  })
  WEBHOOK_RETRY_SCHEDULE = '5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h';

  /** With it the callbacks of single tasks are signed; without one they are not. */
  @IsOptional()
  @Matches(/^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/, {
    message: 'must be "whsec_" and 24 to 64 random bytes in base64, e.g. of: openssl rand -base64 32',
  })
  CALLBACK_SECRET?: string;

  /** For which the folder of a task that failed or was cancelled is kept: a retry goes on in it. */
  @Type(() => Number)
  @IsNumber({}, { message: 'must be a number of hours from 0 to 8784' })
  @Min(0, { message: 'must be a number of hours from 0 to 8784' })
  @Max(8784, { message: 'must be a number of hours from 0 to 8784' })
  WORKSPACE_RETENTION_HOURS = 24;

  /** Steps of one task that run side by side. */
  @Type(() => Number)
  @IsInt({ message: between(1, 100) })
  @Min(1, { message: between(1, 100) })
  @Max(100, { message: between(1, 100) })
  MAX_PARALLEL_STEPS = 4;

  /** Output kept of one task; what goes beyond is cut, with a marker. */
  @Type(() => Number)
  @IsInt({ message: between(1024, 1073741824) })
  @Min(1024, { message: between(1024, 1073741824) })
  @Max(1073741824, { message: between(1024, 1073741824) })
  LOG_LIMIT_BYTES = 5_242_880;

  @Type(() => Number)
  @IsInt({ message: between(1024, 67108864) })
  @Min(1024, { message: between(1024, 67108864) })
  @Max(67108864, { message: between(1024, 67108864) })
  BODY_LIMIT = 524_288;

  @Type(() => Number)
  @IsInt({ message: between(1, 100000) })
  @Min(1, { message: between(1, 100000) })
  @Max(100000, { message: between(1, 100000) })
  MAX_STEPS = 1_000;

  /** The catalogue; its workflow files stand below its folder. */
  @IsString()
  @MinLength(1, { message: 'must name a file' })
  GOLDEN_PATHS_FILE = './goldenpaths.yaml';

  /** What a submission runs as when it names no golden path. */
  @Matches(/^[a-z0-9][a-z0-9-]{0,62}$/, { message: 'must be the name of a golden path: a-z, 0-9 and "-"' })
  DEFAULT_GOLDEN_PATH = 'deploy-app';

  /** `off` refuses documents with steps of their own, from everybody. */
  @IsIn(SWITCH, { message: oneOf(SWITCH) })
  INLINE_WORKFLOWS: (typeof SWITCH)[number] = 'on';

  /** Whose tokens are taken besides keys. */
  @IsOptional()
  @IsUrl(ISSUER, { message: 'must be the address of the issuer as its tokens have it, without a query' })
  @GoesWith('OIDC_AUDIENCE', 'OIDC_ROLE_MAP')
  OIDC_ISSUER?: string;

  /** What a token's `aud` must be or contain. */
  @IsOptional()
  @GoesWith('OIDC_ISSUER')
  OIDC_AUDIENCE?: string;

  /** Where the issuer's keys are; found through its discovery document unless given. */
  @IsOptional()
  @IsUrl({ ...ISSUER, allow_query_components: true }, { message: 'must be the address of a JSON Web Key Set' })
  @GoesWith('OIDC_ISSUER')
  OIDC_JWKS_URL?: string;

  /** The claim by which a caller is named in the ledger, behind `oidc:`. */
  @IsString()
  OIDC_NAME_CLAIM = 'sub';

  /** The claim whose values OIDC_ROLE_MAP turns into roles; a path such as `realm_access.roles` too. */
  @IsString()
  OIDC_ROLES_CLAIM = 'groups';

  /** Which value of that claim gives which role, e.g. `platform-team:admin, developers:author`. */
  @IsOptional()
  @ValidateBy({
    name: 'roleMap',
    validator: {
      validate: isRoleMap,
      defaultMessage: () =>
        'must be a list of <value of the claim>:<role> such as platform-team:admin, developers:author',
    },
  })
  @GoesWith('OIDC_ISSUER')
  OIDC_ROLE_MAP?: string;

  /** The claim with patterns of the applications a caller sees; without one callers see all. */
  @IsOptional()
  @IsString()
  @GoesWith('OIDC_ISSUER')
  OIDC_SCOPES_CLAIM?: string;

  @IsIn(LOG_LEVELS, { message: oneOf(LOG_LEVELS) })
  LOG_LEVEL: (typeof LOG_LEVELS)[number] = 'info';

  @IsIn(LOG_FORMATS, { message: oneOf(LOG_FORMATS) })
  LOG_FORMAT: (typeof LOG_FORMATS)[number] = 'pretty';
}

/** What is wrong with it, without its password; '' where nothing is. */
function wrongUrl(url: string): string {
  try {
    readDatabaseUrl(url);
    return '';
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.message;
    throw error;
  }
}

/** The rule of a setting that means nothing, or not enough, without these. */
function GoesWith(...names: string[]): PropertyDecorator {
  const missing = ({ object }: ValidationArguments) =>
    names.filter((name) => !(object as Record<string, unknown>)[name]);
  return ValidateBy({
    name: 'goesWith',
    validator: {
      validate: (_, about) => missing(about!).length === 0,
      defaultMessage: (about) => `needs ${missing(about!).join(' and ')} as well`,
    },
  });
}

function isRoleMap(text: unknown): boolean {
  try {
    parseRoleMap(String(text));
    return true;
  } catch {
    return false;
  }
}

function areNetworks(text: string): boolean {
  try {
    parseNetworks(text);
    return true;
  } catch {
    return false;
  }
}

function areBinds(text: string): boolean {
  try {
    parseSandboxBinds(text);
    return true;
  } catch {
    return false;
  }
}

function areDelays(text: string): boolean {
  const delays = text.split(',').map((delay) => parseDuration(delay.trim()) ?? 0);
  return delays.length <= 30 && delays.every((ms) => ms >= 1_000 && ms <= 7 * 86_400_000);
}
