import { ApiProperty } from '@nestjs/swagger';
import { type Role, ROLES } from '../roles.js';
import type { ApiKey } from './api-key.entity.js';

export class ApiKeyView {
  /** @example 1 */
  id: string;
  /** As it stands in the ledger. */
  name: string;
  /** The beginning of the key. */
  prefix: string;
  @ApiProperty({ enum: ROLES, isArray: true })
  roles: Role[];
  /** Patterns of the applications it is for; null: all. */
  scopes: string[] | null;
  created_by: string;
  created_at: Date;
  /** Null: never. */
  expires_at: Date | null;
  revoked_at: Date | null;
  /** To about a minute. */
  last_used_at: Date | null;
  links: Record<string, string>;
}

/** The only answer with the key: keep it. */
export class ApiKeyWithSecret extends ApiKeyView {
  /** @example tpk_2rUdQx0mV3yTq9fPz7nLwKc5sB8hJ1gEaX4oRiYtDuM */
  key: string;
}

export class ApiKeyPage {
  api_keys: ApiKeyView[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

export function toApiKeyView(key: ApiKey): ApiKeyView {
  const { id, name, prefix, roles, scopes } = key;
  return {
    ...{ id, name, prefix, roles, scopes, created_by: key.createdBy, created_at: key.createdAt },
    ...{ expires_at: key.expiresAt, revoked_at: key.revokedAt, last_used_at: key.lastUsedAt },
    links: { self: `/api/api-keys/${id}` },
  };
}
