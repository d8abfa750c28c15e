/** Shown in the API's description, ready to be sent. */
export const EXAMPLE_SCHEDULE = {
  name: 'nightly-deploy',
  cron: '30 2 * * *',
  timezone: 'Europe/Berlin',
  golden_path: 'deploy-app',
  app_name: 'demo-app',
  parameters: {},
  overlap: 'skip',
  catch_up: 'one',
};
