import { Type } from 'class-transformer';
import { IsInt, IsOptional, IsString, Max, Min } from 'class-validator';
import { encodeCursor } from './cursor.js';

export const LIMIT_RULE = 'must be a whole number from 1 to 500';

/** The parameters of lists that only go on page by page. */
export class PageQuery {
  @Type(() => Number)
  @IsInt({ message: LIMIT_RULE })
  @Min(1, { message: LIMIT_RULE })
  @Max(500, { message: LIMIT_RULE })
  limit = 100;

  @IsOptional()
  @IsString()
  cursor?: string;
}

export const PAGE_PARAMETERS = ['limit', 'cursor'];

/** One row more than the page holds says that there is another page. */
export function pageOf<Row>(
  found: readonly Row[],
  limit: number,
  idOf: (row: Row) => string,
): { rows: Row[]; next: string | null } {
  const rows = found.slice(0, limit);
  return { rows, next: found.length > limit ? encodeCursor(idOf(rows.at(-1)!)) : null };
}
