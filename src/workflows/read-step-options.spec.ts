import { SettingsError } from '../config/load-settings.js';
import { Settings } from '../config/settings.js';
import { readStepOptions } from './read-step-options.js';

const settings = (changes: Partial<Settings>) => Object.assign(new Settings(), changes);

describe('readStepOptions', () => {
  it('takes a sandbox that cannot be had for a wrong setting, which keeps the service from starting', async () => {
    const options = readStepOptions(settings({ STEP_SANDBOX: 'off', STEP_NETWORK: 'none' }));
    await expect(options).rejects.toThrow(SettingsError);
    await expect(options).rejects.toThrow(/^STEP_NETWORK is 'none', which needs a sandbox/);
  });

  it('asks for no sandbox on an instance that runs no steps', async () => {
    const { sandbox } = await readStepOptions(settings({ ROLE: 'api', STEP_SANDBOX: 'bubblewrap' }));
    expect(sandbox).toMatchObject({ mode: 'off', reason: expect.stringContaining('ROLE=api') });
  });
});
