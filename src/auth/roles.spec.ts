import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allows, PERMISSIONS, ROLES, rolesWith, UNSCOPED_ONLY, type Permission } from './roles.js';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

interface Operation {
  readonly security?: unknown;
  readonly 'x-permission'?: string;
}

const { paths } = JSON.parse(read('openapi.json')) as { paths: Record<string, Record<string, Operation>> };
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
);

/** What is asked for by what a request holds, and not by its route. */
const BY_CONTENT: Permission[] = ['tasks:inline', 'tasks:urgent'];

describe('roles', () => {
  it('are asked for by every route that is not public, and only by permissions there are', () => {
    expect(operations.length).toBeGreaterThan(50);
    const wrong = operations.filter(({ operation: { security, 'x-permission': asked } }) =>
      security === undefined
        ? asked !== undefined
        : !asked?.split(' or ').every((one) => (PERMISSIONS as readonly string[]).includes(one)),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
    const open = operations.filter(({ operation }) => operation.security === undefined);
    expect(open.map(({ name }) => name).sort()).toEqual(['GET /health', 'GET /ready']);
  });

  it('have no permission that nothing asks for', () => {
    const asked = new Set(operations.flatMap(({ operation }) => operation['x-permission']?.split(' or ') ?? []));
    expect(PERMISSIONS.filter((permission) => !asked.has(permission) && !BY_CONTENT.includes(permission))).toEqual([]);
  });

  it('let every caller read what it works with, and nobody but admins make keys', () => {
    for (const role of ROLES) expect([role, allows([role], 'tasks:read')]).toEqual([role, true]);
    expect(rolesWith('keys:manage')).toEqual(['admin']);
    expect(allows([], 'tasks:read')).toBe(false);
    expect(allows(['viewer', 'approver'], 'tasks:decide')).toBe(true);
  });

  it('stand in docs/access.md as they are', () => {
    const rows = read('docs/access.md')
      .split('\n')
      .filter((line) => /^\| `[a-z-]+:[a-z-]+`/.test(line))
      .map((line) => line.split('|').map((cell) => cell.trim()));
    const told = rows.map(([, permission, , ...cells]) => [
      permission!.replaceAll('`', ''),
      ROLES.filter((_, n) => cells[n] === 'x'),
      cells[ROLES.length] === 'all',
    ]);
    expect(told).toEqual(
      PERMISSIONS.map((permission) => [permission, rolesWith(permission), UNSCOPED_ONLY.has(permission)]),
    );
  });
});
