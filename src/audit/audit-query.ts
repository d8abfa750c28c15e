import { Type } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Matches, Max, Min } from 'class-validator';
import { IsText } from '../common/http/is-text.js';
import { IsTime } from '../common/http/is-time.js';
import { invalidParameters } from '../common/http/query.pipe.js';
import type { AuditPlace } from '../queue/store/audit.sql.js';

const LIMIT_RULE = 'must be a whole number from 1 to 500';
const BLOCK_RULE = 'must be the number of a block, from 1';
const HEAD_RULE = { message: 'must be a head as <block>:<hash>, the hash with its 64 hexadecimal digits' };
export const LEDGER_KINDS = ['transition', 'step', 'operator'] as const;

/** The parameters of `GET /api/audit`. */
export class AuditQuery {
  @IsOptional()
  @IsText()
  actor?: string;

  @IsOptional()
  @IsIn(LEDGER_KINDS, { message: `must be one of ${LEDGER_KINDS.join(', ')}` })
  kind?: (typeof LEDGER_KINDS)[number];

  @IsOptional()
  @IsText()
  task_id?: string;

  @IsOptional()
  @IsText()
  app_name?: string;

  @IsOptional()
  @IsText()
  cause?: string;

  @IsOptional()
  @IsTime()
  since?: string;

  @IsOptional()
  @IsTime()
  until?: string;

  @Type(() => Number)
  @IsInt({ message: LIMIT_RULE })
  @Min(1, { message: LIMIT_RULE })
  @Max(500, { message: LIMIT_RULE })
  limit = 100;

  @IsOptional()
  @IsString()
  cursor?: string;
}

export const AUDIT_PARAMETERS = [
  ...['actor', 'since', 'until', 'kind', 'task_id', 'app_name', 'cause', 'limit', 'cursor'],
];

/** The parameters of `GET /api/audit/verify`. */
export class VerifyQuery {
  @Type(() => Number)
  @IsInt({ message: BLOCK_RULE })
  @Min(1, { message: BLOCK_RULE })
  @Max(Number.MAX_SAFE_INTEGER, { message: BLOCK_RULE })
  from_block = 1;

  @IsOptional()
  @Matches(/^[1-9]\d{0,14}:[0-9a-f]{64}$/i, HEAD_RULE)
  head?: string;
}

export const VERIFY_PARAMETERS = ['from_block', 'head'];

/** `<block>:<hash>` as it was kept. */
export function readKeptHead(text: string | undefined): { block: number; hash: string } | undefined {
  if (text === undefined) return undefined;
  const [block, hash] = text.toLowerCase().split(':');
  return { block: Number(block), hash: hash! };
}

/** Opaque to the caller, so that its form may change. */
export function encodeAuditCursor({ at, id }: AuditPlace): string {
  return Buffer.from(`at:${at}:${id}`).toString('base64url');
}

const PLACE = /^at:([1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z):(\d{1,18})$/;

/** A day that there is. */
const isDay = (at: string) => {
  const time = new Date(at);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(at.slice(0, 19));
};

export function decodeAuditCursor(cursor: string): AuditPlace {
  const [, at, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (at !== undefined && id !== undefined && isDay(at)) return { at, id };
  const hint = 'Take next_cursor from the answer before, or leave it out to begin anew.';
  throw invalidParameters([{ path: 'cursor', message: `'cursor' is not one that this service gave out`, hint }]);
}
