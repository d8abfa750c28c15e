import { readFileSync } from 'node:fs';
import { loadSettings, settingNames, SettingsError } from './load-settings.js';
import { Settings } from './settings.js';

const EXAMPLE = new URL('../../.env.example', import.meta.url);

/** The lines of .env.example that set something. */
function exampleEntries(): [name: string, value: string][] {
  const lines = readFileSync(EXAMPLE, 'utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
}

function complaints(env: Record<string, string>): string[] {
  try {
    loadSettings(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as Error).message.split('\n');
  }
}

describe('the settings', () => {
  it('are those of .env.example, with its values as defaults', () => {
    const defaults = loadSettings({}) as unknown as Record<string, string | number | undefined>;
    const listed = exampleEntries();
    expect(listed.map(([name]) => name).sort()).toEqual(settingNames().sort());
    expect(Object.fromEntries(listed)).toEqual(
      Object.fromEntries(settingNames().map((name) => [name, String(defaults[name] ?? '')])),
    );
  });

  it('of .env.example, taken as they stand, are valid and change nothing', () => {
    expect(loadSettings(Object.fromEntries(exampleEntries()))).toEqual(loadSettings({}));
  });

  it('are each explained there', () => {
    const text = readFileSync(EXAMPLE, 'utf8');
    for (const block of text.split('\n\n')) expect(block).toMatch(/^#/);
  });

  it('come from the environment, typed; empty ones count as not set', () => {
    const settings = loadSettings({
      ...{ PORT: '0', ROLE: 'worker', QUEUE_LEASE_SECONDS: '2.5', DATABASE_URL: ' postgres://u:p@h/d ', HOST: '  ' },
      ...{ ADMIN_TOKEN: '', NO_SETTING_OF_OURS: 'x' },
    });
    expect(settings).toMatchObject({ PORT: 0, ROLE: 'worker', QUEUE_LEASE_SECONDS: 2.5, HOST: '127.0.0.1' });
    expect(settings.DATABASE_URL).toBe('postgres://u:p@h/d');
    expect(settings.ADMIN_TOKEN).toBeUndefined();
    expect(settings).toBeInstanceOf(Settings);
    expect(settings).not.toHaveProperty('NO_SETTING_OF_OURS');
  });

  it.each([
    ['PORT', '-1', 'a whole number from 0 to 65535'],
    ['PORT', '65536', 'a whole number from 0 to 65535'],
    ['PORT', '80.5', 'a whole number from 0 to 65535'],
    ['PORT', 'http', 'a whole number from 0 to 65535'],
    ['DATABASE_POOLER', 'session', 'one of none, transaction'],
    ['ROLE', 'both', 'one of all, api, worker'],
    ['DATABASE_POOL_SIZE', '1', 'a whole number from 2 to 500'],
    ['QUEUE_WORKERS', '0', 'a whole number from 1 to 1000'],
    ['QUEUE_WORKERS', '1e9', 'a whole number from 1 to 1000'],
    ['QUEUE_LEASE_SECONDS', '0.5', 'a number of seconds from 1 to 3600'],
    ['QUEUE_LEASE_SECONDS', '30s', 'a number of seconds from 1 to 3600'],
    ['QUEUE_LEASE_SECONDS', 'Infinity', 'a number of seconds from 1 to 3600'],
    ['MAX_CRASHES', '0', 'a whole number from 1 to 1000000'],
    ['SHUTDOWN_GRACE_SECONDS', '-1', 'a number of seconds from 0 to 86400'],
    ['STEP_KILL_GRACE_SECONDS', '0', 'a number of seconds greater than 0, at most 86400'],
    ['OUTBOUND_ALLOWED_CIDRS', '10.0.0.0/8, localhost', 'a list of networks such as 10.1.0.0/16, 127.0.0.1'],
    ['LOG_LIMIT_BYTES', '10', 'a whole number from 1024 to 1073741824'],
    ['BODY_LIMIT', '5 MB', 'a whole number from 1024 to 67108864'],
    ['MAX_STEPS', 'NaN', 'a whole number from 1 to 100000'],
    ['DEFAULT_GOLDEN_PATH', '../etc', 'the name of a golden path: a-z, 0-9 and "-"'],
    ['RATE_LIMIT_PER_MINUTE', '-1', 'a whole number from 0 to 100000000'],
    ['REQUEST_TIMEOUT_SECONDS', '0', 'a number of seconds from 1 to 3600'],
    ['TRUSTED_PROXIES', 'nginx', 'a list of networks such as 10.1.0.0/16, 127.0.0.1'],
    ['CORS_ORIGINS', '*', 'a list of origins such as https://portal.example.com, without a path'],
    ['LOG_LEVEL', 'verbose', 'one of fatal, error, warn, info, debug, trace, silent'],
    ['LOG_FORMAT', 'JSON', 'one of pretty, json'],
  ])('refuse %s=%s, with what is allowed', (name, value, allowed) => {
    const [complaint, ...others] = complaints({ [name]: value });
    expect(complaint).toMatch(new RegExp(`^${name} is '${value.replace(/[.*]/g, '\\$&')}': it must (be|have) `));
    expect(complaint).toContain(allowed);
    expect(others).toEqual([]);
  });

  it.each([
    ['DATABASE_URL', 'mysql://root:hunter2@db/x', 'must look like postgres://user:password@host:5432/database'],
    ['DATABASE_URL', 'postgres://root:hunter2 x@db/x', 'must look like postgres://user:password@host:5432/database'],
    ['ADMIN_TOKEN', 'hunter2', 'must have at least 16 characters, printable ASCII without spaces'],
    ['ADMIN_TOKEN', 'hunter2 hunter2 hunter2', 'must have at least 16 characters, printable ASCII without spaces'],
  ])('refuse a wrong %s without showing it', (name, value, rule) => {
    expect(complaints({ [name]: value })).toEqual([`${name} is (not shown): it ${rule}`]);
  });

  const OIDC = { OIDC_ISSUER: 'https://id.example.com', OIDC_AUDIENCE: 'turnpike', OIDC_ROLE_MAP: 'devs:author' };

  it('take an identity provider with all that it needs', () => {
    expect(loadSettings(OIDC)).toMatchObject({ ...OIDC, OIDC_NAME_CLAIM: 'sub', OIDC_ROLES_CLAIM: 'groups' });
    expect(loadSettings({ ...OIDC, OIDC_ISSUER: 'http://localhost:8080/realms/a' })).toBeDefined();
  });

  it.each([
    [{ OIDC_ISSUER: 'https://id.example.com' }, 'it needs OIDC_AUDIENCE and OIDC_ROLE_MAP as well'],
    [{ ...OIDC, OIDC_ISSUER: '' }, 'it needs OIDC_ISSUER as well'],
    [{ ...OIDC, OIDC_ISSUER: 'id.example.com' }, 'the address of the issuer'],
    [{ ...OIDC, OIDC_ROLE_MAP: 'devs:autor' }, 'it must be a list of <value of the claim>:<role>'],
    [{ ...OIDC, OIDC_ROLE_MAP: 'devs' }, 'it must be a list of <value of the claim>:<role>'],
    [{ ...OIDC, OIDC_JWKS_URL: 'keys' }, 'the address of a JSON Web Key Set'],
    [{ OIDC_SCOPES_CLAIM: 'apps' }, 'it needs OIDC_ISSUER as well'],
    [{ TLS_CERT_FILE: '/etc/tls.crt' }, 'it needs TLS_KEY_FILE as well'],
    [{ TLS_KEY_FILE: '/etc/tls.key' }, 'it needs TLS_CERT_FILE as well'],
    [{ INLINE_WORKFLOWS: 'no' }, 'it must be one of on, off'],
  ])('refuse %j', (env, rule) => expect(complaints(env)[0]).toContain(rule));

  it('are refused all at once', () => {
    const names = complaints({ PORT: 'x', ROLE: 'x', LOG_LEVEL: 'x' }).map((line) => line.split(' ')[0]);
    expect(names.sort()).toEqual(['LOG_LEVEL', 'PORT', 'ROLE']);
  });
});
