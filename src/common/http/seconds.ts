import { Transform } from 'class-transformer';
import { parseDuration } from '../duration.js';

/** Reads a duration such as `90s` into seconds; NaN for what is none, which the property's rule then refuses. */
export const Seconds = () =>
  Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' ? (parseDuration(value) ?? NaN) / 1_000 : value,
  );
