import { didYouMean } from '../../common/did-you-mean.js';
import { DURATION_EXAMPLES, parseDuration } from '../../common/duration.js';
import { type DocumentPath, shorten } from '../../common/yaml/document-path.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import { describeValue, typeHint } from '../../common/yaml/plain-words.js';

/** Reads fields of one step; notes what is wrong and then answers `undefined`, so that all fields get read. */
export class StepFields {
  constructor(
    private readonly document: ParsedDocument,
    private readonly step: Readonly<Record<string, unknown>>,
    private readonly path: DocumentPath,
    private readonly issues: DocumentIssue[],
  ) {}

  /** Up to 63 characters, fit for file names and environment variables' values. */
  name(): string | undefined {
    const name = this.required('name', 'Give each step a name of its own, e.g. "name: build".');
    if (name === undefined || NAME.test(name)) return name;
    const hint = "Allowed: up to 63 letters, digits, '.', '_' and '-', with a letter or digit first.";
    return this.wrong(['name'], `'${shorten(name, 80)}' is not a valid name of a step`, hint);
  }

  type(known: readonly string[]): string | undefined {
    const type = this.required('type', `Add "type:" with one of ${known.join(', ')}.`);
    if (type === undefined || known.includes(type)) return type;
    const meant = didYouMean(type, known);
    const hint = meant === undefined ? `Known types: ${known.join(', ')}.` : `Did you mean '${meant}'?`;
    const question = meant === undefined ? '' : `: did you mean '${meant}'?`;
    return this.wrong(['type'], `unknown step type '${shorten(type, 80)}'${question}`, hint);
  }

  env(): Record<string, string> {
    const env: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.mapping('env'))) {
      if (!VARIABLE.test(name)) {
        const hint = "Allowed: letters, digits and '_', no digit first.";
        this.wrong(['env', name], `'${shorten(name, 80)}' is not a valid name of a variable`, hint, 'key');
      }
      if (typeof value === 'string' || typeof value === 'boolean') env[name] = String(value);
      // As written: 1.10 is a version more often than a number.
      else if (typeof value === 'number')
        env[name] = this.document.sourceOf([...this.path, 'env', name]) ?? String(value);
      else this.wrongType(['env', name], 'a text, a number or true or false', 'string', value);
    }
    return env;
  }

  timeoutSeconds(): number | undefined {
    if (!Object.hasOwn(this.step, 'timeout')) return undefined;
    const { timeout } = this.step;
    const milliseconds = typeof timeout === 'string' ? parseDuration(timeout) : Number(timeout) * 1000;
    const valid = typeof timeout === 'string' || typeof timeout === 'number';
    if (!valid || milliseconds === undefined || !(milliseconds > 0)) {
      const message = `'timeout' must be a time above zero, but is ${describeValue(timeout)}`;
      return this.wrong(['timeout'], message, `Write seconds such as 30, or a duration: ${DURATION_EXAMPLES}.`);
    }
    if (milliseconds > MAX_TIMEOUT_MS) {
      return this.wrong(['timeout'], "'timeout' is longer than 24 days", 'Write a shorter time.');
    }
    return milliseconds / 1000;
  }

  /** The mapping under the key; empty where it is absent or wrong. */
  mapping(key: string): Record<string, unknown> {
    if (!Object.hasOwn(this.step, key)) return {};
    const value = this.step[key];
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    this.wrongType([key], 'a mapping', 'object', value);
    return {};
  }

  unknownKeys(): void {
    for (const key of Object.keys(this.step)) {
      if (STEP_KEYS.includes(key)) continue;
      const meant = didYouMean(key, STEP_KEYS);
      const later = LATER_KEYS.has(key);
      const message = later ? `'${key}' is not supported yet` : `unknown key '${shorten(key, 80)}' in a step`;
      const hint =
        meant !== undefined && !later
          ? `Did you mean '${meant}'?`
          : later
            ? 'Steps run one after the other, in the order they are written. Remove the key.'
            : `Known here: ${STEP_KEYS.join(', ')}; what belongs to the step's type stands below 'config:'.`;
      this.wrong([key], message, hint, 'key');
    }
  }

  private required(key: 'name' | 'type', hint: string): string | undefined {
    const value = this.step[key];
    if (typeof value === 'string' && value !== '') return value;
    if (Object.hasOwn(this.step, key)) return this.wrongType([key], 'a text', 'string', value);
    return this.wrong([key], `'${key}' is missing in a step`, hint);
  }

  private wrongType(path: DocumentPath, expected: string, type: string, value: unknown): undefined {
    const source = this.document.sourceOf([...this.path, ...path]);
    const key = String(path.at(-1));
    const message = `'${shorten(key, 80)}' must be ${expected}, but is ${describeValue(value, source)}`;
    return this.wrong(path, message, typeHint(type, value, shorten(key, 80), source));
  }

  private wrong(path: DocumentPath, message: string, hint?: string, part?: 'key'): undefined {
    this.issues.push({
      path: [...this.path, ...path],
      message,
      ...(part === undefined ? {} : { part }),
      ...(hint === undefined ? {} : { hint }),
    });
    return undefined;
  }
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

const STEP_KEYS: readonly string[] = ['name', 'type', 'env', 'timeout', 'config'];

/** The longest delay a timer of Node takes: beyond it, it fires at once. */
const MAX_TIMEOUT_MS = 24 * 86_400_000;

/** Keys of workflows elsewhere. To ignore them would run steps that were not meant to run. */
const LATER_KEYS = new Set([
  ...['when', 'if', 'unless', 'dependsOn', 'parallel', 'parallelGroup', 'retry'],
  ...['continue_on_error', 'on_failure', 'outputFile', 'setVariables'],
]);
