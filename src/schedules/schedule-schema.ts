import { Ajv2020 } from 'ajv/dist/2020.js';
import { explainErrors, type Wording } from '../common/schema/explain-errors.js';
import { didYouMean } from '../common/did-you-mean.js';
import type { DocumentIssue } from '../common/yaml/document-issue.js';
import { shorten } from '../common/yaml/document-path.js';
import { TASK_PRIORITIES } from '../queue/queue-options.js';
import { cronFault, isTimeZone } from './cron-times.js';
import { CATCH_UPS, OVERLAPS } from './schedule.entity.js';

const NAME_RULE = '1 to 63 lower-case letters, digits and "-", a letter first and a letter or digit last';
const CRON_HINT =
  'Five fields, "minute hour day-of-month month day-of-week", six with the second before them, or @daily and the like.';

const PROPERTIES = {
  name: { type: 'string', pattern: '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$', description: NAME_RULE },
  cron: { type: 'string', maxLength: 200 },
  timezone: { type: 'string' },
  golden_path: {
    type: 'string',
    pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
    description: 'the name of a golden path: a-z, 0-9 and "-"',
  },
  app_name: { type: ['string', 'null'] },
  parameters: { type: 'object' },
  spec: { type: ['object', 'null'] },
  labels: { type: 'object' },
  priority: { enum: TASK_PRIORITIES },
  overlap: { enum: OVERLAPS },
  catch_up: { enum: CATCH_UPS },
  paused: { type: 'boolean' },
};
const SCHEMA = { type: 'object', additionalProperties: false, properties: PROPERTIES };

const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true, strictTypes: false });
const matches = {
  whole: ajv.compile({ ...SCHEMA, required: ['name', 'cron'] }),
  part: ajv.compile(SCHEMA),
};

const EXAMPLES: Readonly<Record<string, string>> = { name: 'nightly-backup', cron: '"30 2 * * *"' };
const wording: Wording = {
  ruleOf: ({ description }) => description,
  missingHint: (_, property) => `Add it, for example ${property}: ${EXAMPLES[property]}.`,
};

/** All that is wrong with a body by itself, whatever the catalogue says. A part may leave out everything. */
export function scheduleIssues(body: unknown, extent: 'whole' | 'part'): DocumentIssue[] {
  if (!matches[extent](body)) return explainErrors(matches[extent].errors ?? [], body, wording);
  const { cron, timezone } = body as { cron?: string; timezone?: string };
  const issues: DocumentIssue[] = [];
  const fault = cron === undefined ? undefined : cronFault(cron);
  if (fault !== undefined) issues.push({ path: ['cron'], message: `'cron' ${fault}`, hint: CRON_HINT });
  if (timezone !== undefined && !isTimeZone(timezone)) {
    const meant = didYouMean(timezone, ['UTC', ...Intl.supportedValuesOf('timeZone')]);
    const hint = meant === undefined ? 'Write a name such as Europe/Berlin, or UTC.' : `Did you mean '${meant}'?`;
    const message = `'${shorten(timezone, 80)}' is not the name of a time zone`;
    issues.push({ path: ['timezone'], message, hint });
  }
  return issues;
}
