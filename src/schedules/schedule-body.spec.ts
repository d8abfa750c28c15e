import { Problem } from '../common/problem/problem.js';
import { defaultFields, fieldsOf, readSchedule, withBody } from './schedule-body.js';

const read = (body: string, extent: 'whole' | 'part' = 'whole', type = 'application/json') =>
  readSchedule(Buffer.from(body), type, extent);

function refusal(work: () => unknown): Problem {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const wrong = (field: object, extent: 'whole' | 'part' = 'part') =>
  refusal(() => read(JSON.stringify(field), extent)).errors;

describe('the body of a schedule', () => {
  it('needs a name and a cron expression only', () => {
    const body = read('{"name": "nightly", "cron": "30 2 * * *"}');
    expect(withBody(defaultFields('deploy-app'), body)).toEqual({
      ...{ name: 'nightly', cron: '30 2 * * *', timezone: 'UTC', goldenPath: 'deploy-app', appName: null },
      ...{ parameters: {}, spec: null, labels: {}, priority: 'medium', overlap: 'allow', catchUp: 'none' },
      paused: false,
    });
  });

  it('may be YAML, and says all that a schedule is', () => {
    const body = read(
      `name: nightly
cron: 30 2 * * *
timezone: Europe/Berlin
golden_path: db-lifecycle
app_name: shop
parameters: {size: 3}
spec: {apiVersion: score.dev/v1b1}
labels: {team: blue}
priority: low
overlap: skip
catch_up: one
paused: true
`,
      'whole',
      'application/yaml',
    );
    const fields = withBody(defaultFields('deploy-app'), body);
    expect(fields).toMatchObject({ goldenPath: 'db-lifecycle', appName: 'shop', catchUp: 'one', paused: true });
    expect(fieldsOf(fields)).toEqual(fields);
    expect(withBody(fields, read('{"app_name": null, "paused": false}', 'part'))).toEqual({
      ...fields,
      appName: null,
      paused: false,
    });
  });

  it('is refused with all that is wrong, each at its place', () => {
    const { code, errors, detail } = refusal(() => read('name: Nightly\ncrn: 1\n', 'whole', 'text/yaml'));
    expect(code).toBe('invalid_parameter');
    expect(detail).toBe('2 errors: see errors[]');
    expect(errors).toEqual([
      expect.objectContaining({ path: 'crn', line: 2, column: 1, hint: "Did you mean 'cron'?" }),
      expect.objectContaining({ path: 'name', line: 1, message: "'name' is not valid: the text 'Nightly'" }),
    ]);
  });

  it.each([
    [{ cron: '61 * * * *' }, 'cron', "'cron' is not a cron expression: Invalid value for minute: 61"],
    [{ timezone: 'Europe/Berln' }, 'timezone', "'Europe/Berln' is not the name of a time zone"],
    [{ timezone: 'nowhere at all' }, 'timezone', "'nowhere at all' is not the name of a time zone"],
    [{ paused: 'yes' }, 'paused', "'paused' must be true or false, but is the text 'yes'"],
    [{ overlap: 'skp' }, 'overlap', "'overlap' must be one of allow, skip, replace, but is the text 'skp'"],
    [{ golden_path: '../x' }, 'golden_path', "'golden_path' is not valid: the text '../x'"],
  ])('%j is refused', (field, path, message) => {
    const [error] = wrong(field);
    expect(error).toMatchObject({ path, line: 1 });
    expect(error!.message).toContain(message);
  });

  it('is told what was probably meant', () => {
    expect(wrong({ timezone: 'Europe/Berln' })[0]!.hint).toBe("Did you mean 'Europe/Berlin'?");
    expect(wrong({ timezone: '+02:00' })[0]!.hint).toBe('Write a name such as Europe/Berlin, or UTC.');
    expect(wrong({ cron: 'noon' })[0]!.hint).toContain('minute hour day-of-month');
    expect(wrong({ name: 'x' }, 'whole')[0]!.hint).toBe('Add it, for example cron: "30 2 * * *".');
  });

  it.each([
    ['[]', 422],
    ['{', 400],
    ['', 400],
    ['{"labels": {"a": "\\u0000"}}', 400],
    ['{"spec": {"a": "\\ud800"}}', 400],
  ])('%p is refused with %i', (body, status) => {
    expect(refusal(() => read(body)).status).toBe(status);
  });

  it('in YAML holds no character either that cannot be stored', () => {
    expect(refusal(() => read('labels: {a: "\\0"}', 'part', 'text/yaml')).status).toBe(400);
  });

  it('that is no document is a 415', () => {
    expect(refusal(() => readSchedule(undefined, undefined, 'part')).status).toBe(415);
  });
});
