import { timingSafeEqual } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { Principal } from '../principal.js';
import { isRole } from '../roles.js';
import { hashOf, prefixOf } from './secret.js';

/** So old may the copy be by which a key is let in: after that long, a revoked one is out on every instance. */
const FRESH_MS = 2_000;
/** For a key that is not in the copy, which may have been made on another instance just now. */
const NEWS_MS = 250;
/** So often the last use of a key is written down. */
const NOTE_MS = 60_000;
/** A revoked key is called so for this long; then it is not known. */
const REMEMBERED = `interval '30 days'`;

interface Row {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly hash: Buffer;
  readonly roles: string[];
  readonly scopes: string[] | null;
  readonly state: 'valid' | 'expired' | 'revoked';
}

/** What a key is: whose, or why it opens nothing. */
export type Found = { readonly principal: Principal } | { readonly refused: string };

/** Compared with where there is no such key, so that it takes the same path as a wrong one. */
const NO_HASH = Buffer.alloc(32);

/**
 * A copy of all keys, read anew when a request finds it older than two seconds: no request waits for the database but the
 * one in two seconds that asks, and no flood of wrong keys reaches it.
 */
@Injectable()
export class KeyRing {
  private readonly logger = new Logger('Auth');
  private keys = new Map<string, Row & { readonly principal: Principal }>();
  private readAt = -Infinity;
  private reading: Promise<void> | undefined;
  private generation = 0;
  private readonly notedAt = new Map<string, number>();

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** Throws where the database cannot be asked and the copy is too old. */
  async find(key: string): Promise<Found> {
    const prefix = prefixOf(key);
    const age = performance.now() - this.readAt;
    const isNews = prefix !== undefined && !this.keys.has(prefix) && age > NEWS_MS;
    if (isNews || age > FRESH_MS) await this.read();
    const known = prefix === undefined ? undefined : this.keys.get(prefix);
    const same = timingSafeEqual(hashOf(key), known?.hash ?? NO_HASH);
    if (!known || !same) return { refused: 'the key is not known' };
    if (known.state === 'expired') return { refused: `the key '${known.name}' has expired` };
    if (known.state === 'revoked') return { refused: `the key '${known.name}' was revoked` };
    this.noteUse(known.id);
    return { principal: known.principal };
  }

  /** What was changed here holds here at once: a copy that was begun before is not taken. */
  forget(): void {
    this.generation++;
    this.readAt = -Infinity;
    this.reading = undefined;
  }

  private read(): Promise<void> {
    if (!this.reading) {
      const reading = this.readAll().finally(() => {
        if (this.reading === reading) this.reading = undefined;
      });
      this.reading = reading;
    }
    return this.reading;
  }

  private async readAll(): Promise<void> {
    const { generation } = this;
    const asked = performance.now();
    const rows = await this.dataSource.query<Row[]>(
      `SELECT id, name, prefix, hash, roles, scopes,
         CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'valid' END AS state
       FROM api_keys WHERE revoked_at IS NULL OR revoked_at > now() - ${REMEMBERED}`,
    );
    if (generation !== this.generation) return this.read();
    this.keys = new Map(rows.map((row) => [row.prefix, { ...row, principal: principalOf(row) }]));
    const ids = new Set(rows.map(({ id }) => id));
    for (const id of this.notedAt.keys()) if (!ids.has(id)) this.notedAt.delete(id);
    this.readAt = asked;
  }

  private noteUse(id: string): void {
    const now = performance.now();
    if (now - (this.notedAt.get(id) ?? -Infinity) < NOTE_MS) return;
    this.notedAt.set(id, now);
    const sql = `UPDATE api_keys SET last_used_at = now()
      WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '50 seconds')`;
    // The request does not wait for it, and does not fail with it.
    this.dataSource.query(sql, [id]).catch((error: Error) => {
      this.notedAt.delete(id);
      this.logger.debug({ msg: 'The last use of a key could not be noted', key: id, error: error.message });
    });
  }
}

function principalOf({ name, roles, scopes }: Row): Principal {
  return { name, roles: roles.filter(isRole), ...(scopes === null ? {} : { scopes }) };
}
