import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import type { Role } from '../roles.js';

@Entity('api_keys')
export class ApiKey {
  /** bigint as text. */
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'ALWAYS' }) id: string;
  @Column({ type: 'text' }) name: string;
  /** What is shown of the key, and what it is found by. */
  @Column({ type: 'text', unique: true }) prefix: string;
  /** SHA-256 of the whole key. */
  @Column({ type: 'bytea', select: false }) hash: Buffer;
  @Column({ type: 'text', array: true }) roles: Role[];
  /** Patterns of the applications it is for; null: all. */
  @Column({ type: 'text', array: true, nullable: true }) scopes: string[] | null;
  @Column({ name: 'created_by', type: 'text' }) createdBy: string;
  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' }) createdAt: Date;
  @Column({ name: 'expires_at', type: 'timestamptz', nullable: true }) expiresAt: Date | null;
  @Column({ name: 'revoked_at', type: 'timestamptz', nullable: true }) revokedAt: Date | null;
  /** To about a minute. */
  @Column({ name: 'last_used_at', type: 'timestamptz', nullable: true }) lastUsedAt: Date | null;
}

export const authEntities = [ApiKey];
