import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { EntitySchema, MixedList } from 'typeorm';
import { dataSourceOptions, TurnpikeDataSource } from './data-source.js';

export interface DatabaseModuleOptions {
  readonly url: string;
  readonly poolSize: number;
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- TypeORM's own type for entity classes
  readonly entities: MixedList<Function | string | EntitySchema>;
}

/** The application's data source; its migrations have run when the module is up. */
@Module({})
export class DatabaseModule {
  static forRoot({ url, poolSize, entities }: DatabaseModuleOptions): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          useFactory: () => ({
            ...dataSourceOptions(url, poolSize),
            entities,
            migrationsRun: true,
            migrationsTransactionMode: 'each',
            retryAttempts: 0,
          }),
          dataSourceFactory: async (options) => new TurnpikeDataSource(options!).initialize(),
        }),
      ],
    };
  }
}
