import { APP_PATTERN } from '../../common/app-patterns.js';
import { isRole, type Role, ROLES } from '../roles.js';

/** Which value of the roles claim gives which roles. */
export type RoleMap = ReadonlyMap<string, readonly Role[]>;

/** Of `platform-team:admin, developers:author, developers:approver`; throws where it is none. */
export function parseRoleMap(text: string): RoleMap {
  const map = new Map<string, Role[]>();
  for (const part of text.split(',').map((part) => part.trim())) {
    const at = part.lastIndexOf(':');
    const [value, role] = [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    if (at < 1 || value === '') throw new Error(`'${part}' is not <value of the claim>:<role>`);
    if (!isRole(role)) throw new Error(`'${role}' is no role: there are ${ROLES.join(', ')}`);
    map.set(value, [...(map.get(value) ?? []), role]);
  }
  return map;
}

export type Claims = Readonly<Record<string, unknown>>;

/** A claim by its name; where there is none of that name, by its path: `realm_access.roles`. */
export function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  return name.split('.').reduce<unknown>((value, key) => {
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    return isObject ? (value as Claims)[key] : undefined;
  }, claims);
}

/** The texts of a claim that is a list, or one text with spaces between them, as `scope` is. */
function textsOf(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((text) => text !== '');
  return Array.isArray(claim) ? claim.filter((text): text is string => typeof text === 'string') : [];
}

export function rolesOf(claim: unknown, map: RoleMap): Role[] {
  // A group may have spaces in its name.
  const values = typeof claim === 'string' ? [claim, ...textsOf(claim)] : textsOf(claim);
  return [...new Set(values.flatMap((value) => map.get(value) ?? []))];
}

/** Patterns of applications; undefined for all of them. What is no pattern, and a claim that is not there, is none. */
export function scopesOf(claim: unknown): string[] | undefined {
  const patterns = textsOf(claim).filter((text) => APP_PATTERN.test(text));
  return patterns.includes('*') ? undefined : patterns;
}
