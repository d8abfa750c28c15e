import { scanScript, type ScriptReference, TooDeep } from './bash-scanner.js';
import { type Scope, UnresolvedReferences } from './references.js';

export interface ScriptProblem {
  /** In the script, from 0, in UTF-16 units. */
  readonly offset: number;
  readonly message: string;
  readonly hint: string;
}

export interface PreparedScript {
  /** With each reference in the place of `${a.b}` as one to an environment variable. */
  readonly script: string;
  /** The path for each environment variable. */
  readonly variables: Readonly<Record<string, readonly string[]>>;
  /** Those of the variables whose values bash evaluates: they must be whole numbers. */
  readonly numbers: readonly string[];
  /** With any, the script is not to be run. */
  readonly problems: readonly ScriptProblem[];
}

/** The kernel takes 128 KiB for one variable. */
const MAX_VALUE_BYTES = 100 * 1024;
const MAX_SCRIPT_LENGTH = 256 * 1024;
const WHOLE_NUMBER = /^[+-]?\d{1,18}$/;

/** A value that cannot be given to a script; the message is a sentence for an operator. */
export class ScriptValueError extends Error {
  override readonly name = 'ScriptValueError';
}

/**
 * Puts environment variables in the place of a script's references, so that no value ever becomes a part of the script.
 * `${NAME}` and all else that bash knows is bash's own. Where bash would not expand a reference, that is a problem; in a
 * comment and behind a backslash it stays as it is, and `$${a.b}` becomes the text `${a.b}`. `others` are the variables of
 * other scripts that share the environment.
 */
export function prepareScript(script: string, others: PreparedScript['variables'] = {}): PreparedScript {
  const variables: Record<string, readonly string[]> = {};
  const names = new Map(Object.entries(others).map(([variable, path]) => [path.join('.'), variable]));
  const numbers = new Set<string>();
  const problems: ScriptProblem[] = [];
  let prepared = '';
  let done = 0;
  const replace = (begin: number, end: number, text: string) => {
    prepared += script.slice(done, begin) + text;
    done = end;
  };
  for (const reference of scan(script, problems)) {
    const { offset, name, escaped, quoting } = reference;
    const problem = problemOf(reference);
    if (problem) problems.push(problem);
    else if (escaped) replace(offset, offset + 2, quoting === 'expanded' ? '\\$' : '$');
    else {
      const variable = names.get(name) ?? `TURNPIKE_REF_${names.size + 1}`;
      names.set(name, variable);
      variables[variable] = name.split('.');
      if (reference.evaluated) numbers.add(variable);
      // The name alone, since between backticks there may be a backslash before the dollar sign.
      replace(offset + 2, offset + 2 + name.length, variable);
    }
  }
  return { script: prepared + script.slice(done), variables, numbers: [...numbers], problems };
}

/** The environment of a prepared script. Throws UnresolvedReferences, ScriptValueError. */
export function scriptVariables({ variables, numbers }: PreparedScript, scope: Scope): Record<string, string> {
  const entries = Object.entries(variables).map(([variable, path]) => ({ variable, path, value: scope.lookUp(path) }));
  const missing = entries
    .filter(({ value }) => value === undefined)
    .map(({ path }) => ({ path, text: `\${${path.join('.')}}`, offset: 0 }));
  if (missing.length > 0) throw new UnresolvedReferences(missing, scope);
  const env: Record<string, string> = {};
  for (const { variable, path, value = '' } of entries) {
    const reference = `\${${path.join('.')}}`;
    if (numbers.includes(variable) && !WHOLE_NUMBER.test(value)) {
      const reason = 'stands in arithmetic, where bash would run what is in the value, and must be a whole number';
      const shown = path[0] === 'secrets' ? '' : `, but is '${value.slice(0, 80)}'`;
      throw new ScriptValueError(`${reference} ${reason}${shown}`);
    }
    if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
      const limit = `${MAX_VALUE_BYTES / 1024} KiB`;
      throw new ScriptValueError(`${reference} is longer than ${limit}, too long for a script: pass it in a file`);
    }
    if (value.includes('\0')) throw new ScriptValueError(`${reference} holds a NUL, which no script can be given`);
    env[variable] = value;
  }
  return env;
}

function scan(script: string, problems: ScriptProblem[]): ScriptReference[] {
  if (!/\$\{[!#]?[A-Za-z_][\w-]*\./.test(script)) return [];
  if (script.length > MAX_SCRIPT_LENGTH) {
    const message = `a script with references is at most ${MAX_SCRIPT_LENGTH} characters long`;
    problems.push({
      offset: 0,
      message,
      hint: 'Put the references into the env of the step, and $NAME into the script.',
    });
    return [];
  }
  try {
    return scanScript(script);
  } catch (error) {
    if (!(error instanceof TooDeep)) throw error;
    const hint = 'Put inner parts into functions, or into variables of their own.';
    problems.push({ offset: error.offset, message: error.message, hint });
    return [];
  }
}

function problemOf(reference: ScriptReference): ScriptProblem | undefined {
  const { offset, name, escaped, malformed, quoting, inBackticks } = reference;
  const text = `\${${name}}`;
  if (malformed) {
    const message = `'${text}' takes no default and no other operator of bash`;
    return { offset, message, hint: `Put it into a variable first: value=${text}` };
  }
  if (escaped && quoting === 'expanded' && inBackticks) {
    const message = `'$${text}' cannot be written between backticks`;
    return { offset, message, hint: 'Write $( … ) in their place.' };
  }
  if (escaped || quoting === 'expanded') return undefined;
  const literal = `For the text itself, write $${text}.`;
  if (quoting === 'heredoc') {
    const message = `'${text}' stands in a heredoc with a quoted delimiter, where bash does not expand it`;
    return {
      offset,
      message,
      hint: `Remove the quotes around the delimiter, and write \\$ for other dollar signs. ${literal}`,
    };
  }
  const message = `'${text}' stands in ${quoting === "$'…'" ? "$'…'" : 'single quotes'}, where bash does not expand it`;
  return { offset, message, hint: `Close the quotes before it: '…'"${text}"'…', or use double quotes. ${literal}` };
}
