import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import { Settings } from './settings.js';

/** One line for each wrong setting: its name, its value and what is allowed. */
export class SettingsError extends Error {}

/** Reads the settings from environment variables; an empty variable counts as not set. */
export function loadSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const given: Record<string, string> = {};
  for (const name of settingNames()) {
    const value = env[name];
    if (value !== undefined && value.trim() !== '') given[name] = value.trim();
  }
  const settings = plainToInstance(Settings, given, { exposeDefaultValues: true });
  const wrong = validateSync(settings).map(({ property, constraints = {} }) => {
    // A password may stand in these: the rule is told, the value is not.
    const shown = SECRET.has(property) ? '(not shown)' : `'${given[property]}'`;
    return `${property} is ${shown}: it ${Object.values(constraints)[0]}`;
  });
  if (wrong.length > 0) throw new SettingsError(wrong.join('\n'));
  return settings;
}

export function settingNames(): string[] {
  return [...Object.keys(new Settings()), ...WITHOUT_DEFAULT];
}

/** No property stands for them until they are set. */
const WITHOUT_DEFAULT = [
  'DATABASE_URL',
  'ADMIN_TOKEN',
  'WORKSPACES_DIR',
  'SECRETS_DIR',
  'CALLBACK_SECRET',
  'TLS_CERT_FILE',
  'TLS_KEY_FILE',
  'OIDC_ISSUER',
  'OIDC_AUDIENCE',
  'OIDC_JWKS_URL',
  'OIDC_ROLE_MAP',
  'OIDC_SCOPES_CLAIM',
];

const SECRET = new Set(['DATABASE_URL', 'ADMIN_TOKEN', 'CALLBACK_SECRET']);
