import { applyDecorators } from '@nestjs/common';
import { Length, Matches } from 'class-validator';

/** The rule of a text that is to be found in, or stored in, PostgreSQL, which has no NUL and no halves of characters. */
export const IsText = (max = 255): PropertyDecorator =>
  applyDecorators(
    Length(1, max, { message: `must have 1 to ${max} characters` }),
    Matches(/^[^\0\p{Surrogate}]*$/u, { message: 'must not contain a NUL character or half of a surrogate pair' }),
  );
