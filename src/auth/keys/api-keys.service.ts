import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { DataSource, type EntityManager, MoreThan, Repository } from 'typeorm';
import { differences } from '../../common/differences.js';
import { decodeCursor } from '../../common/http/cursor.js';
import { pageOf, type PageQuery } from '../../common/http/page-query.js';
import { Problem } from '../../common/problem/problem.js';
import { AuthLedger } from '../auth-ledger.js';
import type { ApiKeyBody } from './api-key-body.js';
import { type ApiKeyPage, type ApiKeyWithSecret, toApiKeyView } from './api-key.dto.js';
import { ApiKey } from './api-key.entity.js';
import { KeyRing } from './key-ring.js';
import { hashOf, newKey, prefixOf } from './secret.js';

/** Who changes a key, for the ledger. */
export interface Operator {
  readonly actor: string;
  readonly requestId: string;
}

/** What admins do with keys; each change and its note in the ledger are one transaction. */
@Injectable()
export class ApiKeysService {
  constructor(
    @InjectRepository(ApiKey) private readonly keys: Repository<ApiKey>,
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly ledger: AuthLedger,
    private readonly ring: KeyRing,
  ) {}

  /** Oldest first, the revoked ones too. */
  async list({ limit, cursor }: PageQuery): Promise<ApiKeyPage> {
    const where = cursor === undefined ? {} : { id: MoreThan(decodeCursor(cursor)) };
    const found = await this.keys.find({ where, order: { id: 'ASC' }, take: limit + 1 });
    const { rows, next } = pageOf(found, limit, ({ id }) => id);
    return { api_keys: rows.map(toApiKeyView), next_cursor: next };
  }

  async get(id: string): Promise<ApiKey> {
    return found(isId(id) ? await this.keys.findOneBy({ id }) : null, id);
  }

  async create(body: ApiKeyBody, by: Operator): Promise<ApiKeyWithSecret> {
    const key = newKey();
    const made = await this.change(body.name, async (manager) => {
      await mustLieAhead(manager, body);
      const { identifiers } = await manager.insert(ApiKey, {
        ...{ name: body.name!, prefix: prefixOf(key)!, hash: hashOf(key), createdBy: by.actor },
        ...{ roles: [...body.roles!], scopes: body.scopes ? [...body.scopes] : null, expiresAt: timeOf(body) ?? null },
      });
      const row = await manager.findOneByOrFail(ApiKey, { id: String(identifiers[0]!.id) });
      await this.note(manager, 'api_key_created', row, by, { api_key: about(row) });
      return row;
    });
    return { ...toApiKeyView(made), key };
  }

  /** Changes the fields that are given. */
  edit(id: string, body: ApiKeyBody, by: Operator): Promise<ApiKey> {
    return this.change(body.name, async (manager) => {
      const before = await this.lock(manager, id);
      if (before.revokedAt !== null) {
        throw new Problem('conflict', `the key '${before.name}' was revoked: make a new one`);
      }
      const after = {
        name: body.name ?? before.name,
        roles: body.roles ? [...body.roles] : before.roles,
        scopes: body.scopes === undefined ? before.scopes : body.scopes && [...body.scopes],
        expiresAt: body.expires_at === undefined ? before.expiresAt : timeOf(body)!,
      };
      const changes = differences(about(before), about(after));
      if (changes.length === 0) return before;
      await manager.update(ApiKey, { id }, after);
      await this.note(manager, 'api_key_edited', before, by, { changes });
      return manager.findOneByOrFail(ApiKey, { id });
    });
  }

  /** For good. The row stays: its name stands in the ledger. */
  async revoke(id: string, by: Operator): Promise<void> {
    await this.change(undefined, async (manager) => {
      const key = await this.lock(manager, id);
      if (key.revokedAt !== null) return key;
      await manager.update(ApiKey, { id }, { revokedAt: () => 'now()' });
      await this.note(manager, 'api_key_revoked', key, by, { api_key: about(key) });
      return key;
    });
  }

  private async change(name: string | undefined, work: (manager: EntityManager) => Promise<ApiKey>): Promise<ApiKey> {
    try {
      return await this.dataSource.transaction('READ COMMITTED', work);
    } catch (error) {
      if (!isTaken(error)) throw error;
      const message = `there is a key '${name}' already, or was one`;
      const hint = 'Choose another name: both would be one in the ledger.';
      throw new Problem('conflict', message, { errors: [{ path: 'name', message, hint }], cause: error });
    } finally {
      this.ring.forget();
    }
  }

  private async lock(manager: EntityManager, id: string): Promise<ApiKey> {
    const lock = { mode: 'pessimistic_write' } as const;
    return found(isId(id) ? await manager.findOne(ApiKey, { where: { id }, lock }) : null, id);
  }

  private note(manager: EntityManager, cause: string, key: ApiKey, by: Operator, detail: object): Promise<void> {
    const { id, name, prefix } = key;
    return this.ledger.note({ ...by, cause, detail: { api_key_id: id, name, prefix, ...detail } }, { manager });
  }
}

/** What the ledger says of a key. */
function about({ name, roles, scopes, expiresAt }: Pick<ApiKey, 'name' | 'roles' | 'scopes' | 'expiresAt'>) {
  return { name, roles, scopes, expires_at: expiresAt?.toISOString() ?? null };
}

function timeOf({ expires_at: at }: ApiKeyBody): Date | null | undefined {
  return typeof at === 'string' ? new Date(at) : at;
}

/** A new key that has expired is a mistake; one that is there is ended so. */
async function mustLieAhead(manager: EntityManager, body: ApiKeyBody): Promise<void> {
  const at = timeOf(body);
  if (!at) return;
  const [row] = await manager.query<{ ahead: boolean }[]>('SELECT $1::timestamptz > now() AS ahead', [at]);
  if (row!.ahead) return;
  const message = `'expires_at' is ${at.toISOString()}, which has passed`;
  throw new Problem('invalid_parameter', message, { errors: [{ path: 'expires_at', message }] });
}

const isId = (text: string) => /^\d{1,18}$/.test(text);
const isTaken = (error: unknown) => (error as { code?: unknown }).code === '23505';

function found(key: ApiKey | null, id: string): ApiKey {
  if (key) return key;
  throw new Problem('api_key_not_found', `there is no API key '${id.slice(0, 100)}'`);
}
