import type { SecretMasks } from '../secrets/secret-masks.js';
import type { StepResult } from '../step-runner.js';

type Texts = Readonly<Record<string, string>>;
type Ended = StepResult & { readonly variables?: Texts };

/**
 * What is stored and shown of a step's end. An output in which a secret is found fails the step: it would be stored, and
 * what a later step got in its place would be a mask. Of a step that failed, outputs are masked as its message is.
 */
export function withoutSecrets(name: string, ended: Ended, masks: SecretMasks): Ended {
  if (masks.isEmpty || ended.status === 'aborted') return ended;
  const outputs = masked(ended.outputs, masks);
  if (ended.status === 'failed') return { ...ended, errorMessage: masks.text(ended.errorMessage), outputs };
  const found = nameOfSecret(ended.outputs, 'output', masks) ?? nameOfSecret(ended.variables ?? {}, 'variable', masks);
  if (found === undefined) return ended;
  const why = `but its ${found} holds a secret: what steps hand on is stored and shown`;
  const errorMessage = `step '${name}' ended well, ${why}; let the step that needs the secret refer to it itself`;
  return { status: 'failed', cause: 'step_failed', retryable: false, errorMessage, outputs };
}

function masked(texts: Texts, masks: SecretMasks): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [masks.text(name), masks.text(text)]));
}

function nameOfSecret(texts: Texts, kind: string, masks: SecretMasks): string | undefined {
  const found = Object.entries(texts).find(([name, text]) => masks.isIn(name) || masks.isIn(text));
  return found && `${kind} '${masks.text(found[0])}'`;
}
