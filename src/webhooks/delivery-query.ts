import { IsIn, IsOptional } from 'class-validator';
import { parseDuration } from '../common/duration.js';
import { PAGE_PARAMETERS, PageQuery } from '../common/http/page-query.js';
import { readVerbBody } from '../common/http/verb-body.js';
import { Problem } from '../common/problem/problem.js';
import type { DeliveryStatus } from './webhook.entity.js';

export const DELIVERY_STATUSES: readonly DeliveryStatus[] = ['pending', 'delivered', 'failed'];

export class DeliveryQuery extends PageQuery {
  @IsOptional()
  @IsIn(DELIVERY_STATUSES, { message: `must be one of ${DELIVERY_STATUSES.join(', ')}` })
  status?: DeliveryStatus;
}
export const DELIVERY_PARAMETERS = [...PAGE_PARAMETERS, 'status'];

const DEFAULT_OVERLAP = '24h';
const MAX_OVERLAP_MS = 30 * 86_400_000;

/** For how many seconds the present secret goes on signing: of `{overlap: "24h"}`, or of nothing. */
export function readOverlap(body: Buffer | undefined): number {
  const { overlap = DEFAULT_OVERLAP } = readVerbBody(body, { overlap: 40 });
  const ms = parseDuration(overlap);
  if (ms !== undefined && ms <= MAX_OVERLAP_MS) return ms / 1_000;
  const message = `'overlap' must be a duration such as 24h or 0s, at most 30d, but is '${overlap}'`;
  throw new Problem('invalid_parameter', message, { errors: [{ path: 'overlap', message }] });
}
