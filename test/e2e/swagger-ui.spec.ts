import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { cleanUp, ServiceProcess, TOKEN } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const withBrowser = existsSync(CHROMIUM)
  ? { describe, title: 'Swagger UI in a browser' }
  : { describe: describe.skip, title: 'Swagger UI in a browser (needs: apt-get install chromium, or CHROMIUM_PATH)' };

withBrowser.describe(withBrowser.title, () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let profile: string;
  let browser: Browser;
  let page: Page;
  /** What the browser has refused, for one by the content security policy. */
  let complaints: string[];

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
    profile = await mkdtemp(join(tmpdir(), 'turnpike-browser-'));
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      env: { ...process.env, HOME: profile },
      // As root Chromium has no sandbox; the other switches keep it from calling its maker.
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await cleanUp();
    await database?.drop();
    if (profile) await rm(profile, { recursive: true, force: true });
  });

  beforeEach(async () => {
    page = await browser.newPage();
    complaints = [];
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(`${service.url}/api/docs`);
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.getByRole('textbox').fill(TOKEN);
    await page.locator('.modal-ux').getByRole('button', { name: 'Apply credentials' }).click();
    await page.locator('.modal-ux').getByRole('button', { name: 'Close' }).click();
  });

  afterEach(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });

  /** Opens a call, sends it as the page offers it, and returns status and body of the answer. */
  async function send(operation: string, fill?: (block: ReturnType<Page['locator']>) => Promise<void>) {
    const block = page.locator(`[id="operations-${operation}"]`);
    await block.locator('.opblock-summary-control').click();
    await block.getByRole('button', { name: 'Try it out' }).click();
    await fill?.(block);
    await block.locator('button.execute').click();
    const live = block.locator('.live-responses-table');
    const status = parseInt(await live.locator('tbody td.response-col_status').first().innerText(), 10);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
    const body = await live.locator('.highlight-code pre').first().innerText();
    return { status, body: JSON.parse(body) as Record<string, unknown> };
  }

  async function completed(taskId: string): Promise<void> {
    await until(`${taskId} is completed`, async () => {
      const [row] = await database.query('SELECT status FROM queue_tasks WHERE task_id = $1', [taskId]);
      return row?.status === 'completed';
    });
  }

  it('sends the example submission, and follows its task to the end', async () => {
    const { status, body } = await send('submissions-SpecsController_submit');
    expect(status).toBe(202);
    const taskId = String(body.task_id);
    await completed(taskId);
    const detail = await send('tasks-TasksController_detail', (block) => block.getByPlaceholder('id').fill(taskId));
    expect(detail).toMatchObject({ status: 200, body: { task_id: taskId, status: 'completed' } });
  });

  const PATHS = ['deploy-app', 'undeploy-app', 'ephemeral-env', 'db-lifecycle', 'observability-setup'];

  it.each(PATHS)('runs the golden path %s to its end with the example', async (path) => {
    const { status, body } = await send('submissions-SpecsController_execute', (block) =>
      block.getByPlaceholder('name').fill(path),
    );
    expect({ status, path: body.golden_path }).toEqual({ status: 202, path });
    await completed(String(body.task_id));
  });
});
