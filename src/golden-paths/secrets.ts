import { type DocumentIssue, MAX_COUNTED } from '../common/yaml/document-issue.js';
import type { DocumentPath } from '../common/yaml/document-path.js';
import { describeValue } from '../common/yaml/plain-words.js';
import type { ReferenceFault } from '../workflows/reading/known-names.js';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { secretsIn } from '../workflows/secrets/secret-references.js';
import type { Workflow } from '../workflows/workflow.js';

/** Which secrets a golden path may use. */
export interface SecretRules {
  /** Names, and patterns in which `*` stands for any characters. */
  readonly allowed: readonly string[];
  /** Whether steps of a document may use them too: whoever writes steps can print what they get. */
  readonly forInline: boolean;
}

/** What a submission that only asks what would happen is read with; what it may not have is told apart. */
export const ALL_SECRETS: SecretRules = { allowed: ['*'], forInline: true };
const NO_SECRETS: SecretRules = { allowed: [], forInline: false };

/** A name, or a pattern that begins with a part of one: `*` alone would be all that anybody ever adds. */
const PATTERN = /^[A-Za-z_][A-Za-z0-9_*]{0,127}$/;
const MAX_PATTERNS = 100;

/** `secrets` and `secrets_for_inline` of a catalogue's entry; adds what is wrong to `issues`. */
export function readSecretRules(
  entry: Readonly<Record<string, unknown>>,
  path: DocumentPath,
  issues: DocumentIssue[],
): SecretRules | undefined {
  if (entry.secrets === undefined && entry.secrets_for_inline === undefined) return undefined;
  const { secrets = [], secrets_for_inline: forInline = false } = entry;
  const place = [...path, 'secrets'];
  if (!Array.isArray(secrets)) {
    const message = `'secrets' must be a list of names, but is ${describeValue(secrets)}`;
    issues.push({ path: place, message, hint: 'Write "secrets: [DEPLOY_TOKEN]".' });
  } else {
    if (secrets.length > MAX_PATTERNS) {
      const hint = 'Write a pattern such as DB_* for those that begin alike.';
      issues.push({ path: place, message: `'secrets' has more than ${MAX_PATTERNS} entries`, hint });
    }
    secrets.forEach((name, index) => {
      if ((typeof name === 'string' && PATTERN.test(name)) || issues.length > MAX_COUNTED) return;
      const message = `${describeValue(name)} is neither the name of a secret nor a pattern for names`;
      const hint =
        "Allowed: letters, digits and '_', no digit first; a pattern such as DB_* has '*' behind its beginning.";
      issues.push({ path: [...place, index], message, hint });
    });
  }
  if (typeof forInline !== 'boolean') {
    const message = `'secrets_for_inline' must be true or false, but is ${describeValue(forInline)}`;
    issues.push({ path: [...path, 'secrets_for_inline'], message });
  }
  return {
    allowed: Array.isArray(secrets) ? secrets.filter((name) => typeof name === 'string') : [],
    forInline: forInline === true,
  };
}

/** What speaks against a secret in the steps of the path's own workflow. */
export function faultOfOwnSecret(path: string, rules: SecretRules = NO_SECRETS) {
  return (name: string): ReferenceFault | undefined => {
    if (isAllowed(name, rules)) return undefined;
    const hint = `Add '${name}' to 'secrets' of '${path}' in the catalogue.`;
    return { why: `golden path '${path}' ${allowedBy(rules)}`, hint, refused: true };
  };
}

/** The same for steps that a document brings along. */
export function faultOfInlineSecret(path: string, rules: SecretRules = NO_SECRETS) {
  return (name: string): ReferenceFault | undefined => {
    if (rules.forInline && isAllowed(name, rules)) return undefined;
    const why =
      rules.forInline || rules.allowed.length === 0
        ? `golden path '${path}' ${allowedBy(rules)}`
        : `golden path '${path}' gives its secrets to its own steps, and none to the steps of a document`;
    const hint = 'Submit without steps of your own, or ask whoever keeps the catalogue to allow it.';
    return { why, hint, refused: true };
  };
}

/** Sentences on the secrets that the steps of a document may not have. */
export function refusedSecrets(
  { steps }: Workflow,
  { name: path, secrets }: { readonly name: string; readonly secrets?: SecretRules },
  scriptsOf: StepRules['scriptsOf'],
): string[] {
  const faultOf = faultOfInlineSecret(path, secrets);
  return steps.flatMap((step) => {
    const names = new Set(secretsIn(step, scriptsOf(step.type)).map(({ name }) => name));
    return [...names].flatMap((name) => {
      const fault = faultOf(name);
      return fault ? [`step '${step.name}' may not use \${secrets.${name}}: ${fault.why}`] : [];
    });
  });
}

/** The names of the secrets that a workflow refers to, in order. */
export function secretsOf({ steps }: Workflow, scriptsOf: StepRules['scriptsOf']): string[] {
  const names = steps.flatMap((step) => secretsIn(step, scriptsOf(step.type)).map(({ name }) => name));
  return [...new Set(names)].sort();
}

function isAllowed(name: string, { allowed }: SecretRules): boolean {
  return allowed.some((pattern) => matches(name, pattern));
}

/** Part by part, from the left: without a regular expression, whose time would depend on the pattern. */
function matches(name: string, pattern: string): boolean {
  const [first = '', ...parts] = pattern.split('*');
  if (parts.length === 0) return name === pattern;
  const last = parts.pop()!;
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

function allowedBy({ allowed }: SecretRules): string {
  if (allowed.length === 0) return 'allows no secrets';
  const more = allowed.length > 20 ? ', …' : '';
  return `does not allow it; it allows ${allowed.slice(0, 20).join(', ')}${more}`;
}
