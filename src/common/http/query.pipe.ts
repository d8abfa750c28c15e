import type { PipeTransform, Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { validateSync, type ValidationError } from 'class-validator';
import { didYouMean } from '../did-you-mean.js';
import { Problem, type ProblemItem } from '../problem/problem.js';

/**
 * Turns query parameters into a checked instance of the class: each property with a class-validator rule is a parameter
 * that may be left out, `known` lists them. Whatever is wrong is answered at once, as one 422; an unknown parameter too,
 * with a hint.
 */
export class QueryPipe<T extends object> implements PipeTransform<unknown, T> {
  constructor(
    private readonly type: Type<T>,
    private readonly known: readonly string[],
  ) {}

  transform(query: unknown): T {
    const { value, errors } = checkQuery(this.type, this.known, (query ?? {}) as Record<string, unknown>);
    if (errors.length > 0) throw invalidParameters(errors);
    return value;
  }
}

export function checkQuery<T extends object>(
  type: Type<T>,
  known: readonly string[],
  query: Readonly<Record<string, unknown>>,
): { value: T; errors: ProblemItem[] } {
  const errors: ProblemItem[] = [];
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name)) errors.push(unknownParameter(name, known));
    else if (typeof value !== 'string') errors.push({ path: name, message: `'${name}' is given more than once` });
    else given[name] = value;
  }
  // Most requests give none.
  if (Object.keys(given).length === 0) return { value: new type(), errors };
  const value = plainToInstance(type, given, { exposeDefaultValues: true });
  for (const error of validateSync(value)) errors.push(wrongValue(error, given));
  return { value, errors };
}

export function invalidParameters(errors: readonly ProblemItem[]): Problem {
  const detail = errors.length === 1 ? errors[0]!.message : `${errors.length} parameters are wrong: see errors[]`;
  return new Problem('invalid_parameter', detail, { errors });
}

function unknownParameter(name: string, known: readonly string[]): ProblemItem {
  const meant = didYouMean(name, known);
  const hint = meant ? `Did you mean '${meant}'?` : `Known parameters: ${known.join(', ')}.`;
  return { path: name, message: `unknown parameter '${name}'`, hint };
}

function wrongValue({ property, constraints = {} }: ValidationError, given: Record<string, unknown>): ProblemItem {
  const rule = Object.values(constraints)[0] ?? 'is not valid';
  return { path: property, message: `'${property}' ${rule}, but is '${String(given[property]).slice(0, 100)}'` };
}
