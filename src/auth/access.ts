import { liesWithin, matchesAny } from '../common/app-patterns.js';
import { Problem } from '../common/problem/problem.js';
import type { Principal } from './principal.js';
import { allows, rolesWith, type Permission } from './roles.js';

export function may({ roles }: Principal, permission: Permission): boolean {
  return allows(roles, permission);
}

/** Throws where none of the caller's roles allows it; `what` is the sentence's subject. */
export function mustBeAllowed(caller: Principal, permission: Permission, what = 'this'): void {
  if (!may(caller, permission)) throw roleRequired(caller, permission, what);
}

export function roleRequired({ name, roles }: Principal, permission: Permission, what = 'this'): Problem {
  const has = roles.length === 0 ? 'no role' : `the role${roles.length === 1 ? '' : 's'} ${roles.join(', ')}`;
  const needed = rolesWith(permission).join(' or ');
  return new Problem('role_required', `'${name}' has ${has}, but ${what} needs ${permission}: the role ${needed}`);
}

/** Throws where the caller names an application that its key is not for. */
export function mustBeInScope({ name, scopes }: Principal, appName: string): void {
  if (matchesAny(scopes, appName)) return;
  throw new Problem('out_of_scope', `'${name}' is for ${shown(scopes)} only, and not for the application '${appName}'`);
}

/** The same for a pattern: whatever fits it must be the caller's. */
export function mustLieInScope({ name, scopes }: Principal, pattern: string, path: string): void {
  if (liesWithin(scopes, pattern)) return;
  const message = `'${name}' is for ${shown(scopes)} only, and '${pattern}' is more than that`;
  throw new Problem('out_of_scope', message, { errors: [{ path, message, hint: `Choose among ${shown(scopes)}.` }] });
}

/** Throws where the caller has scopes, since `what` is about all applications. */
export function mustBeUnscoped({ name, scopes }: Principal, what: string): void {
  if (scopes === undefined) return;
  throw new Problem('out_of_scope', `'${name}' is for ${shown(scopes)} only, but ${what} is about all applications`);
}

function shown(scopes: readonly string[] = []): string {
  return scopes.length === 0
    ? 'no application'
    : `the application${scopes.length === 1 ? '' : 's'} ${scopes.join(', ')}`;
}
