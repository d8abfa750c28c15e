import { applyDecorators } from '@nestjs/common';
import { isISO8601, IsISO8601, Matches } from 'class-validator';

/** RFC 3339, within what both JavaScript and PostgreSQL can read. A time without its zone would be anybody's guess. */
const TIME = /^[1-9]\d{3}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$/;
const RULE = { message: 'must be a time such as 2026-01-31T13:00:00Z' };

/** The rule of a parameter that is a point in time; the day must exist. */
export const IsTime = (): PropertyDecorator => applyDecorators(IsISO8601({ strict: true }, RULE), Matches(TIME, RULE));

/** The same for a text that is no parameter. */
export const isTime = (text: string): boolean => TIME.test(text) && isISO8601(text, { strict: true });
