/** What can be allowed. Each route names one of these, and `docs/access.md` says what each is. */
export const PERMISSIONS = [
  'catalogue:read',
  'catalogue:validate',
  'catalogue:reload',
  'tasks:read',
  'tasks:submit',
  'tasks:inline',
  'tasks:urgent',
  'tasks:cancel',
  'tasks:cancel-own',
  'tasks:retry',
  'tasks:retry-own',
  'tasks:decide',
  'dead-letters:manage',
  'schedules:read',
  'schedules:operate',
  'schedules:write',
  'queue:read',
  'queue:pause',
  'jobs:read',
  'jobs:stop',
  'instances:read',
  'instances:manage',
  'webhooks:read',
  'webhooks:manage',
  'audit:read',
  'audit:verify',
  'keys:manage',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What everybody may who has a role at all. */
const COMMON = ['catalogue:read', 'tasks:read', 'schedules:read', 'queue:read'] as const;
const INSIGHT = ['jobs:read', 'instances:read', 'audit:read', 'audit:verify'] as const;
const SUBMISSION = ['tasks:submit', 'tasks:cancel-own', 'tasks:retry-own'] as const;

/** What each role may: the only copy. Several roles add up. */
export const ROLE_PERMISSIONS = {
  viewer: [...COMMON, ...INSIGHT],
  submitter: [...COMMON, ...SUBMISSION],
  author: [
    ...[...COMMON, ...SUBMISSION],
    ...(['tasks:inline', 'catalogue:validate', 'schedules:operate', 'schedules:write'] as const),
  ],
  approver: [...COMMON, 'tasks:decide'],
  operator: [
    ...[...COMMON, ...INSIGHT],
    ...(['tasks:urgent', 'tasks:cancel', 'tasks:retry', 'dead-letters:manage', 'schedules:operate'] as const),
    ...(['queue:pause', 'jobs:stop', 'instances:manage', 'catalogue:validate', 'catalogue:reload'] as const),
    ...(['webhooks:read', 'webhooks:manage'] as const),
  ],
  admin: PERMISSIONS,
} as const satisfies Record<string, readonly Permission[]>;

export type Role = keyof typeof ROLE_PERMISSIONS;
export const ROLES = Object.keys(ROLE_PERMISSIONS) as Role[];

/** What is about all applications at once: no key with scopes may do it, whatever its roles. */
export const UNSCOPED_ONLY: ReadonlySet<Permission> = new Set([
  ...(['catalogue:reload', 'instances:read', 'instances:manage', 'audit:verify', 'keys:manage'] as const),
]);

const ALLOWED = new Map<Role, ReadonlySet<Permission>>(
  ROLES.map((role) => [role, new Set<Permission>(ROLE_PERMISSIONS[role])]),
);

export function isRole(text: string): text is Role {
  return Object.hasOwn(ROLE_PERMISSIONS, text);
}

export function allows(roles: readonly Role[], permission: Permission): boolean {
  return roles.some((role) => ALLOWED.get(role)!.has(permission));
}

/** The roles that may, for those who have none of them. */
export function rolesWith(permission: Permission): Role[] {
  return ROLES.filter((role) => allows([role], permission));
}
