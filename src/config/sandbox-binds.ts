import { normalize } from 'node:path';

export interface SandboxBindSetting {
  /** Absolute, without a slash at its end. */
  readonly path: string;
  readonly writable: boolean;
}

/** Of these the sandbox has its own; and the root would give everything away. */
const NOT_THESE = /^\/(proc|dev|run\/turnpike)?(\/|$)/;

/** Reads STEP_SANDBOX_BIND: `/srv/cache, /srv/keys:ro`. Throws where it cannot. */
export function parseSandboxBinds(text: string): SandboxBindSetting[] {
  const entries = text.split(',').map((entry) => entry.trim());
  return entries.flatMap((entry) => {
    if (entry === '') return [];
    const [, given = '', mode] = /^(.*?)(?::(ro|rw))?$/.exec(entry) ?? [];
    const path = normalize(given).replace(/(.)\/$/, '$1');
    if (!path.startsWith('/') || NOT_THESE.test(path) || path.includes('\0')) throw new Error(entry);
    return [{ path, writable: mode !== 'ro' }];
  });
}
